"""Mixtures of calibration sets: ``c4*0.5+wiki*0.5`` is half one set and half another."""

from __future__ import annotations

import math

from semprune.errors import MixtureError

Parts = tuple[tuple[str, float], ...]


def parse_mixture(text: str) -> Parts:
    """Read a calibration set's name, or a mixture of names with weights.

    Args:
        text: One name, or two or more of ``name*weight`` joined by ``+``; weights are positive and sum to 1.

    Returns:
        Names with their weights, in the order in which they are written; a name alone has weight 1.

    Raises:
        MixtureError: A weight is missing, no positive number, or they do not sum to 1; or a name comes twice.

    Example:
        >>> parse_mixture("c4*0.75+wiki*0.25"), parse_mixture("c4")
        ((('c4', 0.75), ('wiki', 0.25)), (('c4', 1.0),))
    """
    pieces = [piece.strip() for piece in text.split("+")]
    if len(pieces) == 1 and "*" not in text:
        return ((pieces[0], 1.0),)
    parts = tuple(_part(text, piece) for piece in pieces)
    names = [name for name, _ in parts]
    if len(set(names)) < len(names):
        raise MixtureError(text, "a set comes twice")
    total = math.fsum(weight for _, weight in parts)
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise MixtureError(text, f"its weights sum to {total:g}")
    return parts


def share_sequences(parts: Parts, sequences: int) -> tuple[int, ...]:
    """How many sequences each part gives: shares rounded down, what is left to the largest remainders.

    Args:
        parts: Names with weights that sum to 1.
        sequences: Sequences of the whole mixture.

    Returns:
        A number for each part, at least 1; they sum to ``sequences``.

    Raises:
        MixtureError: A part would give none.

    Example:
        >>> share_sequences((("a", 0.5), ("b", 0.3), ("c", 0.2)), 7)
        (4, 2, 1)
    """
    exact = [weight * sequences for _, weight in parts]
    counts = [math.floor(share + 1e-9) for share in exact]  # 0.1 * 30 is a little less than 3
    order = sorted(range(len(parts)), key=lambda k: (counts[k] - exact[k], k))
    for k in order[: sequences - sum(counts)]:
        counts[k] += 1
    for (name, weight), count in zip(parts, counts, strict=True):
        if count == 0:
            raise MixtureError(name, f"a share of {weight:g} of {sequences} sequences is none of them")
    return tuple(counts)


def _part(text: str, piece: str) -> tuple[str, float]:
    name, star, weight = (part.strip() for part in piece.partition("*"))
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if not star or not name or not 0.0 < value < math.inf:
        raise MixtureError(text, f"'{piece}' is not a name with a positive weight")
    return name, value
