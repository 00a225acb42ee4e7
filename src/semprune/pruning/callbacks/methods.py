"""One pruning callback per method, and the one that holds masks, under the short names of configurations.

What all that prune take:

- sparsity: share of the weights to set to zero, in [0, 1); 0.5 where no pattern is given either, what the literature
  compares at.
- pattern: N:M instead of a sparsity, which keeps N weights of each M consecutive inputs (2:4 keeps two of four).
  In YAML it needs quotes: without, 2:4 is a number there.
- selection: exact (the asked number of each group) or reference (what the published code selects).
- allocation: uniform (every block alike) or owl (less where outliers are many: scores above ``owl_multiple`` times
  their block's mean; kept shares of the blocks span twice ``owl_spread``).

and those that look at data:

- statistics: sequential (earlier blocks already pruned, as published) or dense (one pass over the dense model).
- batch_size: calibration sequences per forward; also the unit that is shared out over ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semprune.pruning.callbacks.base import PruningCallback
from semprune.pruning.callbacks.hold import HoldMasks

__all__ = ["CALLBACKS", "RIA", "HoldMasks", "Magnitude", "PruningCallback", "SparseGPT", "Wanda"]


class Magnitude(PruningCallback):
    """Prunes the smallest weights of each matrix; looks at no data, unless the allocation does.

    Args:
        sparsity: Share of each matrix's weights to set to zero; see the module for this and what follows.
        selection: exact or reference.
        pattern: N:M instead of a sparsity.
        allocation: uniform or owl.
        owl_multiple: From which multiple of the mean score OWL counts outliers.
        owl_spread: Half the span of OWL's sparsities.

    Raises:
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """

    def __init__(
        self,
        sparsity: float | None = None,
        selection: str = "exact",
        pattern: str | int | None = None,
        allocation: str = "uniform",
        owl_multiple: float = 5.0,
        owl_spread: float = 0.08,
    ) -> None:
        """Check the settings; nothing is pruned yet."""
        options = _owl(allocation, owl_multiple, owl_spread)
        super().__init__("magnitude", sparsity, selection, pattern=pattern, allocation=allocation, **options)


class Wanda(PruningCallback):
    """Prunes, in each output row, the smallest products of weight and input norm.

    Args:
        sparsity: Share of each row's weights to set to zero; see the module for this and what follows.
        selection: exact or reference.
        statistics: sequential or dense.
        batch_size: Calibration sequences per forward.
        pattern: N:M instead of a sparsity.
        allocation: uniform or owl.
        owl_multiple: From which multiple of the mean score OWL counts outliers.
        owl_spread: Half the span of OWL's sparsities.

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
        pattern: str | int | None = None,
        allocation: str = "uniform",
        owl_multiple: float = 5.0,
        owl_spread: float = 0.08,
    ) -> None:
        """Check the settings; nothing is pruned yet."""
        options = _owl(allocation, owl_multiple, owl_spread)
        super().__init__("wanda", sparsity, selection, statistics, batch_size, pattern, allocation, **options)


class RIA(PruningCallback):
    """Prunes weights by their share of their row and column, times a power of the input norm.

    Args:
        sparsity: Share of each matrix's weights to set to zero; see the module for this and what follows.
        selection: exact or reference.
        statistics: sequential or dense.
        batch_size: Calibration sequences per forward.
        pattern: N:M instead of a sparsity.
        allocation: uniform or owl.
        owl_multiple: From which multiple of the mean score OWL counts outliers.
        owl_spread: Half the span of OWL's sparsities.
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
        pattern: str | int | None = None,
        allocation: str = "uniform",
        owl_multiple: float = 5.0,
        owl_spread: float = 0.08,
        exponent: float = 0.5,
        group: str = "matrix",
        permutation: str = "none",
    ) -> None:
        """Check the settings; nothing is pruned yet."""
        options = {"exponent": exponent, "group": group, "permutation": permutation}
        options |= _owl(allocation, owl_multiple, owl_spread)
        super().__init__("ria", sparsity, selection, statistics, batch_size, pattern, allocation, **options)


class SparseGPT(PruningCallback):
    """Prunes the weights that cost least to lose and lets the others make up for them.

    The weights that stay change too. A checkpoint holds its masks as a record; the weights are computed again, so a
    loaded run needs its calibration.

    Args:
        sparsity: Share of each matrix's weights to set to zero; see the module for this and what follows.
        selection: exact or reference.
        statistics: sequential or dense.
        batch_size: Calibration sequences per forward.
        pattern: N:M instead of a sparsity.
        allocation: uniform or owl.
        owl_multiple: From which multiple of the mean score OWL counts outliers.
        owl_spread: Half the span of OWL's sparsities.
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
        pattern: str | int | None = None,
        allocation: str = "uniform",
        owl_multiple: float = 5.0,
        owl_spread: float = 0.08,
        damping: float = 0.01,
        block: int = 128,
    ) -> None:
        """Check the settings; nothing is pruned yet."""
        options = {"damping": damping, "block": block} | _owl(allocation, owl_multiple, owl_spread)
        super().__init__("sparsegpt", sparsity, selection, statistics, batch_size, pattern, allocation, **options)


def _owl(allocation: str, multiple: float, spread: float) -> dict[str, Any]:
    return {"owl_multiple": multiple, "owl_spread": spread} if allocation == "owl" else {}


CALLBACKS: dict[str, Callable[..., PruningCallback]] = {
    "magnitude": Magnitude,
    "ria": RIA,
    "sparsegpt": SparseGPT,
    "wanda": Wanda,
}
