"""Seconds of calls: device events on a GPU, sides that take turns, medians with quartiles."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of repeats, with the quartiles around it.

    Attributes:
        median: The middle one.
        low: First quartile.
        high: Third quartile.
        repeats: How many there were.
    """

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise repeats; of a single one all three are the same.

        Example:
            >>> Spread.of([4.0, 1.0, 3.0, 2.0, 5.0])
            Spread(median=3.0, low=2.0, high=4.0, repeats=5)
            >>> Spread.of([2.0])
            Spread(median=2.0, low=2.0, high=2.0, repeats=1)
        """
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values))

    @classmethod
    def of_ratios(cls, ones: Sequence[float], others: Sequence[float]) -> Spread:
        """Summarise the ratios of pairs that were measured in turn.

        Example:
            >>> Spread.of_ratios([2.0, 3.0, 9.0], [1.0, 1.0, 3.0]).median
            3.0
        """
        return cls.of([one / other for one, other in zip(ones, others, strict=True)])


def synchronize(device: torch.device) -> None:
    """Wait until a GPU is idle; a CPU always is."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Call, device: torch.device) -> float:
    """Time between two events of a GPU around a call, its host's waiting included; a CPU's wall-clock time."""
    if device.type != "cuda":
        started = time.perf_counter()
        run()
        return time.perf_counter() - started
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    synchronize(device)
    start.record()
    run()
    end.record()
    synchronize(device)
    return float(start.elapsed_time(end)) / 1e3


def in_turn(sides: Mapping[str, Call], device: torch.device, repeats: int, warmups: int = 1) -> dict[str, list[float]]:
    """Seconds of several sides, each once per turn, after turns that only warm up.

    Example:
        >>> {name: len(own) for name, own in in_turn({"a": int, "b": int}, torch.device("cpu"), 3).items()}
        {'a': 3, 'b': 3}
    """
    for _ in range(warmups):
        for run in sides.values():
            run()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, run in sides.items():
            found[name].append(seconds(run, device))
    return found
