"""What the pruning of a block did: decisions written in place and taken down."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Bool, Int
from torch import Tensor

from semprune.errors import EmptyMatrixError
from semprune.pruning.masks.report import PruneReport, count_empty_rows
from semprune.pruning.method import Decision
from semprune.pruning.selection.pattern import Pattern
from semprune.pruning.weights.linear import PrunableLinear

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """What the pruning of one block, or of several, did.

    Attributes:
        masks: True where a weight is kept, in the stored orientation, on the CPU, by module name.
        sparsity: Measured share of zeros of each matrix, by module name.
        orders: Of matrices whose columns were reordered for their pattern: the columns (inputs) in the order in which
            the pattern holds, on the CPU, by module name.
        patterned: Whether the asked N:M pattern holds in the mask as it is stored (inputs in their own order), by
            module name; empty where none was asked.
        empty_rows: Output rows of which nothing is kept, by module name, where there are any.
    """

    masks: dict[str, Bool[Tensor, "rows columns"]] = field(default_factory=dict)
    sparsity: dict[str, float] = field(default_factory=dict)
    orders: dict[str, Int[Tensor, " in"]] = field(default_factory=dict)
    patterned: dict[str, bool] = field(default_factory=dict)
    empty_rows: dict[str, int] = field(default_factory=dict)

    def add(self, other: BlockOutcome) -> None:
        """Take in what another block's pruning did."""
        for name in ("masks", "sparsity", "orders", "patterned", "empty_rows"):
            getattr(self, name).update(getattr(other, name))

    def report(self, method: str, settings: Mapping[str, Any], calibration: str | None) -> PruneReport:
        """Return what was done together with how."""
        if self.empty_rows:
            count, matrices = sum(self.empty_rows.values()), len(self.empty_rows)
            logger.warning("%s left %d output rows in %d matrices without a weight", method, count, matrices)
        measured = (self.orders, self.patterned, self.empty_rows)
        return PruneReport(method, settings, self.masks, self.sparsity, calibration, *measured)

    def record(self, linear: PrunableLinear, decision: Decision, pattern: Pattern | None) -> None:
        """Write one decision in place and take it down.

        Raises:
            EmptyMatrixError: No weight would be left; nothing is written.
        """
        if (empty := count_empty_rows(decision.kept)) == decision.kept.shape[0]:
            raise EmptyMatrixError(linear.name)
        if decision.weight is not None:
            linear.write(linear.orient(decision.weight))
        kept = linear.orient(decision.kept).contiguous()
        linear.keep(kept)
        self.masks[linear.name] = kept.cpu()
        self.sparsity[linear.name] = linear.measured_sparsity()
        if decision.order is not None:
            self.orders[linear.name] = decision.order.cpu()
        if empty:
            self.empty_rows[linear.name] = empty
        if pattern is not None:
            self.patterned[linear.name] = pattern.fits(decision.kept)
