"""One pruning callback per method, and the one that holds masks, under the short names of configurations."""

from __future__ import annotations

from semprune.pruning.callback import PruningCallback
from semprune.pruning.hold import HoldMasks

__all__ = ["HoldMasks", "Magnitude", "PruningCallback", "Wanda"]


class Magnitude(PruningCallback):
    """Prunes the smallest weights of each matrix; looks at no data.

    Args:
        sparsity: Share of each matrix's weights to set to zero, in [0, 1). 0.5 is what the literature compares at.
        selection: exact (the asked number per matrix) or reference (what the published code selects).

    Raises:
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """

    def __init__(self, sparsity: float = 0.5, selection: str = "exact") -> None:
        """Check the settings; nothing is pruned yet."""
        super().__init__("magnitude", sparsity, selection)


class Wanda(PruningCallback):
    """Prunes, in each output row, the smallest products of weight and input norm.

    Args:
        sparsity: Share of each row's weights to set to zero, in [0, 1). 0.5 is what the literature compares at.
        selection: exact (the asked number per row) or reference (what the published code selects).
        statistics: sequential (earlier blocks already pruned, as published) or dense (one pass over the dense model).
        batch_size: Calibration sequences per forward; also the unit that is shared out over ranks.

    Raises:
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """

    def __init__(
        self, sparsity: float = 0.5, selection: str = "exact", statistics: str = "sequential", batch_size: int = 8
    ) -> None:
        """Check the settings; nothing is pruned yet."""
        super().__init__("wanda", sparsity, selection, statistics, batch_size)
