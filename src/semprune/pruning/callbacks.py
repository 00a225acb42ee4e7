"""One pruning callback per method, and the one that holds masks, under the short names of configurations."""

from __future__ import annotations

from collections.abc import Callable

from semprune.pruning.callback import PruningCallback
from semprune.pruning.hold import HoldMasks

__all__ = ["CALLBACKS", "RIA", "HoldMasks", "Magnitude", "PruningCallback", "SparseGPT", "Wanda"]


class Magnitude(PruningCallback):
    """Prunes the smallest weights of each matrix; looks at no data.

    Args:
        sparsity: Share of each matrix's weights to set to zero, in [0, 1); 0.5 where no pattern is given either.
        selection: exact (the asked number per matrix) or reference (what the published code selects).
        pattern: N:M instead of a sparsity: keeps N weights of each M consecutive inputs.

    Raises:
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """

    def __init__(self, sparsity: float | None = None, selection: str = "exact", pattern: str | None = None) -> None:
        """Check the settings; nothing is pruned yet."""
        super().__init__("magnitude", sparsity, selection, pattern=pattern)


class Wanda(PruningCallback):
    """Prunes, in each output row, the smallest products of weight and input norm.

    Args:
        sparsity: Share of each row's weights to set to zero, in [0, 1); 0.5 where no pattern is given either.
        selection: exact (the asked number per row) or reference (what the published code selects).
        statistics: sequential (earlier blocks already pruned, as published) or dense (one pass over the dense model).
        batch_size: Calibration sequences per forward; also the unit that is shared out over ranks.
        pattern: N:M instead of a sparsity: keeps N weights of each M consecutive inputs.

    Raises:
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """

    def __init__(
        self,
        sparsity: float | None = None,
        selection: str = "exact",
        statistics: str = "sequential",
        batch_size: int = 8,
        pattern: str | None = None,
    ) -> None:
        """Check the settings; nothing is pruned yet."""
        super().__init__("wanda", sparsity, selection, statistics, batch_size, pattern)


class RIA(PruningCallback):
    """Prunes weights by their share of their row and column, times a power of the input norm.

    Args:
        sparsity: Share of each matrix's weights to set to zero, in [0, 1); 0.5 where no pattern is given either.
        selection: exact (the asked number per group) or reference (what the published code selects).
        statistics: sequential (earlier blocks already pruned, as published) or dense (one pass over the dense model).
        batch_size: Calibration sequences per forward; also the unit that is shared out over ranks.
        pattern: N:M instead of a sparsity: keeps N weights of each M consecutive inputs.
        exponent: Power of the input norm; 0.5 as published.
        group: matrix (as published) or row: which weights compete where there is no pattern.
        permutation: none, snake or assignment: the order of columns in which a pattern holds.

    Raises:
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """

    def __init__(
        self,
        sparsity: float | None = None,
        selection: str = "exact",
        statistics: str = "sequential",
        batch_size: int = 8,
        pattern: str | None = None,
        exponent: float = 0.5,
        group: str = "matrix",
        permutation: str = "none",
    ) -> None:
        """Check the settings; nothing is pruned yet."""
        options = {"exponent": exponent, "group": group, "permutation": permutation}
        super().__init__("ria", sparsity, selection, statistics, batch_size, pattern, **options)


class SparseGPT(PruningCallback):
    """Prunes the weights that cost least to lose and lets the others make up for them.

    The weights that stay change too. A checkpoint holds its masks as a record; the weights are computed again, so a
    loaded run needs its calibration.

    Args:
        sparsity: Share of each matrix's weights to set to zero, in [0, 1); 0.5 where no pattern is given either.
        selection: exact (the asked number per block of columns) or reference (what the published code selects).
        statistics: sequential (earlier blocks already pruned, as published) or dense (one pass over the dense model).
        batch_size: Calibration sequences per forward; also the unit that is shared out over ranks.
        pattern: N:M instead of a sparsity: keeps N weights of each M consecutive inputs.
        damping: Share of the second moments' mean diagonal that is added to the diagonal; 0.01 as published.
        block: Columns that are chosen together; 128 as published.

    Raises:
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """

    def __init__(
        self,
        sparsity: float | None = None,
        selection: str = "exact",
        statistics: str = "sequential",
        batch_size: int = 8,
        pattern: str | None = None,
        damping: float = 0.01,
        block: int = 128,
    ) -> None:
        """Check the settings; nothing is pruned yet."""
        options = {"damping": damping, "block": block}
        super().__init__("sparsegpt", sparsity, selection, statistics, batch_size, pattern, **options)


CALLBACKS: dict[str, Callable[..., PruningCallback]] = {
    "magnitude": Magnitude,
    "ria": RIA,
    "sparsegpt": SparseGPT,
    "wanda": Wanda,
}
