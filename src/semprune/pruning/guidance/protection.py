"""What a user wants kept, and how much: plain values."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from semprune.errors import SettingError
from semprune.pruning.guidance.controls import Weights
from semprune.pruning.guidance.strength import AUTO
from semprune.ranges import check_ranges
from semprune.types import Count, Positive, Seed

GENERAL = "general"
"""Names nothing in particular: rows of a matrix share its sparsity by what general text alone needs."""


@dataclass(frozen=True)
class Protection:
    """What is to be kept, and how much it counts.

    Attributes:
        what: One name or several: a task family (``sentiment``), a data set (``amazon_reviews``), one of its classes
            (``amazon_reviews.negative``), a concept (``sentiment.positive``, or a YAML file of one's own), a file of
            words (``words.txt``, one a line), items of one's own (``items.csv``, columns text and label) or plain text
            (``text:notes.txt``). ``general`` is nothing in particular: a sparsity is shared by general text.
        strength: Weight of each against the general calibration: its statistics, scaled to the same total (trace),
            are added this many times. 1 by default, which cost none of three methods perplexity at 50 %, see
            ``docs/how-to/protect.md``. ``auto`` tries several on text that is held out of the calibration.
        items: Items of each, or windows of text where it is words; 256 by default, as in the trial. Fewer where there
            are not so many.
        seed: Which items.
        budget: Most that an ``auto`` strength may add to the perplexity of general text, as a share of that of the same
            pruning without protection; 0.02 by default, which no reader of the model's text notices (ours).
        weights: ``fisher``, how much what is named hangs on a token. Controls of it are ``even`` (the text as plain
            calibration), ``place`` (the mean of its place in the row) and ``permuted`` (another token's of the row).

    Example:
        >>> Protection("sentiment", strength=2).names
        ('sentiment',)
    """

    what: str | Sequence[str]
    strength: Positive | Literal["auto"] = 1.0
    items: Count = 256
    seed: Seed = 0
    budget: Positive = 0.02
    weights: Weights = "fisher"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            SettingError: One of them cannot be.
        """
        check_ranges(self, "protect.")
        if isinstance(self.strength, str) and self.strength != AUTO:
            raise SettingError("protect.strength", self.strength, "a number above 0, or auto")
        if not self.names or not all(isinstance(name, str) and name for name in self.names):
            raise SettingError("protect", self.what, "a name or a list of names, for example sentiment")
        if self.names == (GENERAL,) and (self.strength, self.weights) != (Protection.strength, Protection.weights):
            given = self.strength if self.strength != Protection.strength else self.weights
            raise SettingError("protect", f"{GENERAL} with {given}", "general alone: nothing is named that could count")
        if self.weights not in get_args(Weights):
            raise SettingError("protect.weights", self.weights, f"one of {', '.join(get_args(Weights))}")

    @property
    def names(self) -> tuple[str, ...]:
        """Each thing that is to be kept."""
        return (self.what,) if isinstance(self.what, str) else tuple(self.what)

    def record(self) -> dict[str, Any]:
        """Return it as masks and results hold it."""
        return asdict(self) | {"what": list(self.names)}


TOGETHER = "+"
"""Stands between names that a study protects in one model."""

Protect = str | os.PathLike[str] | Protection | Iterable[str | Protection] | None
"""How a protection may be given: names alone have the default strength."""


def parse_protection(text: str) -> Protection:
    """Return what a study's list names: a name alone, or several, or with how tokens count, or a strength, or both.

    Raises:
        SettingError: The strength is no positive number, there are no such weights, or a name is missing.

    Example:
        >>> parse_protection("sentiment*3") == Protection("sentiment", strength=3.0)
        True
        >>> parse_protection("sentiment+trec") == Protection(["sentiment", "trec"])
        True
        >>> parse_protection("sentiment@permuted") == Protection("sentiment", weights="permuted")
        True
    """
    rest, star, number = text.rpartition("*")
    name, at, weights = (rest if star else text).rpartition("@")
    what = (name if at else weights).split(TOGETHER)
    named: dict[str, Any] = {"what": what if len(what) > 1 else what[0]} | ({"weights": weights} if at else {})
    if not star:
        return Protection(**named)
    try:
        return Protection(**named, strength=AUTO if number == AUTO else float(number))
    except ValueError as error:
        raise SettingError(
            "protect", text, "a name, name*strength or name*auto, for example sentiment*3, or names with +"
        ) from error


def protections(protect: Protect) -> tuple[Protection, ...]:
    """Return what is to be kept, in one form.

    Raises:
        SettingError: It is neither a name, a protection, nor a list of them; or a name comes twice.

    Example:
        >>> protections("sentiment") == protections(["sentiment"]) == (Protection("sentiment"),)
        True
        >>> protections(None)
        ()
    """
    if protect is None:
        return ()
    if isinstance(protect, os.PathLike):
        protect = os.fspath(protect)
    given = [protect] if isinstance(protect, str | Protection) else list(protect)
    found = tuple(each if isinstance(each, Protection) else Protection(each) for each in given)
    names = [name for each in found for name in each.names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SettingError("protect", ", ".join(repeated), "named once each: raise `strength` to make it count more")
    return found
