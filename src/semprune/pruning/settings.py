"""How to prune: plain values and their check."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Tensor

from semprune.errors import SettingError
from semprune.pruning.method import Method
from semprune.pruning.methods import find_method
from semprune.pruning.selection import check_selection, check_sparsity


@dataclass(frozen=True, slots=True)
class PruneSettings:
    """How to prune; plain values, checked by :func:`check_settings`.

    Attributes:
        sparsity: Share of each matrix's weights to set to zero, in [0, 1).
        selection: ``exact`` (exactly the asked number per group, ties by position) or ``reference`` (what the
            published code selects, bit for bit; it sees one sequence per forward, and since its running mean depends
            on the order, every rank of a distributed run sees all sequences).
        statistics: ``sequential``: a block's statistics come from its dense weights and the outputs of the pruned
            blocks before it (as published). ``dense``: from the dense model, in one pass.
        batch_size: Sequences per forward; with several ranks also the unit that is shared out.
    """

    sparsity: float
    selection: str = "exact"
    statistics: str = "sequential"
    batch_size: int = 8

    @property
    def forward_size(self) -> int:
        """Sequences per forward that are really run together."""
        return 1 if self.selection == "reference" else self.batch_size

    def relevant(self, method: Method) -> dict[str, str | float | int]:
        """Return the values that a method reads, as they are recorded with its masks."""
        values = asdict(self)
        return values if method.needs_statistics else {name: values[name] for name in ("sparsity", "selection")}


def check_settings(method: str, settings: PruneSettings) -> Method:
    """Return the method, once its name and the settings are known to be good.

    Raises:
        UnknownMethodError: There is no such method.
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """
    found = find_method(method)
    check_sparsity(settings.sparsity)
    check_selection(settings.selection)
    if settings.statistics not in ("sequential", "dense"):
        raise SettingError("statistics", settings.statistics, "'sequential' or 'dense'")
    if settings.batch_size < 1:
        raise SettingError("batch_size", settings.batch_size, "at least 1")
    return found


def check_token_weights(settings: PruneSettings, token_weights: Tensor | None) -> None:
    """Refuse token weights where the published code has none.

    Raises:
        SettingError: There are token weights and the selection is ``reference``.
    """
    if token_weights is not None and settings.selection == "reference":
        raise SettingError("token_weights", "weights", "None with selection 'reference': the published code has none")
