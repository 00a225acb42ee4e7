"""Other people's ways of ranking neurons for concepts, behind one interface: what the association is compared with.

A module in this folder is a baseline: its name is the baseline's, its ``rank`` takes the documents and gives a matrix
whose larger entries name the neurons that it holds to carry a concept.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module

from jaxtyping import Float
from torch import Tensor

from semprune.attribution.held_out.observations import Observations
from semprune.errors import SettingError

Rank = Callable[[Observations], Float[Tensor, "neurons concepts"]]


@cache
def baselines() -> dict[str, Rank]:
    """Every baseline by name, sorted.

    Example:
        >>> list(baselines())[:2]
        ['elastic_net_probe', 'gradient_times_activation']
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: import_module(f"{__name__}.{name}").rank for name in names}


def rank_by(name: str, observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Ranking of all neurons for all concepts by one baseline.

    Args:
        name: A name of :func:`baselines`.
        observations: The documents.

    Returns:
        Token-level concepts, then sequence-level ones; larger is more of a carrier.

    Raises:
        SettingError: There is no such baseline.
    """
    if name not in baselines():
        raise SettingError("baseline", name, f"one of {', '.join(baselines())}")
    return baselines()[name](observations)
