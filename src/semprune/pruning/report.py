"""What a pruning did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from semprune.io.bits import hash_masks


@dataclass(frozen=True, repr=False)
class PruneReport:
    """Masks and measured sparsity of a pruned model.

    Attributes:
        method: Name of the pruning method.
        settings: Its settings (plain values).
        masks: True where a weight is kept, in the stored orientation, on the CPU, by module name.
        sparsity: Measured share of zeros of each matrix, by module name.
        calibration: sha256 of the calibration's token ids; None where none were looked at.
        orders: Of matrices whose columns were reordered for their N:M pattern: the inputs in the order in which the
            pattern holds, by module name. Who runs such a matrix on N:M hardware permutes its columns so, and its
            inputs alike.
        patterned: Whether the asked N:M pattern was measured in the mask as it is stored, its inputs in their own
            order, by module name; empty where none was asked. False for matrices in ``orders``, save by chance.
        empty_rows: Output rows of which the mask keeps nothing, by module name, where there are any. It happens where
            the whole matrix is the group, as published for magnitude and RIA: a row competes with larger rows.
    """

    method: str
    settings: Mapping[str, Any]
    masks: Mapping[str, Bool[Tensor, "rows columns"]]
    sparsity: Mapping[str, float]
    calibration: str | None = None
    orders: Mapping[str, Int[Tensor, " in"]] = field(default_factory=dict)
    patterned: Mapping[str, bool] = field(default_factory=dict)
    empty_rows: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Method, settings and what was measured; the masks have millions of entries."""
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"PruneReport({self.method}: {len(self.masks)} matrices, {self.total_sparsity:.2%} zeros; {settings})"

    @property
    def total_sparsity(self) -> float:
        """Measured share of zeros over all pruned matrices."""
        zeros = sum(self.sparsity[name] * mask.numel() for name, mask in self.masks.items())
        return zeros / sum(mask.numel() for mask in self.masks.values())

    @cached_property
    def mask_hash(self) -> str:
        """Return the sha256 over names, shapes and bits of the masks."""
        return hash_masks(self.masks)


def count_empty_rows(kept: Bool[Tensor, "out in"]) -> int:
    """Return the number of rows of which a mask keeps nothing.

    Example:
        >>> count_empty_rows(torch.tensor([[True, False], [False, False]]))
        1
    """
    return int((kept.view(torch.uint8).amax(-1) == 0).sum())  # any() branches at every entry: much slower
