"""Processes with a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(slots=True)
class Budget:
    """Time that is left for all parts together.

    Attributes:
        seconds: What they may take in all.
        clock: Seconds of any beginning.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        """It begins now."""
        self._started = self.clock()

    def of(self, wanted: float) -> float:
        """Return the limit of the next part: what it wants, or less where less is left.

        Example:
            >>> Budget(100, lambda: 0.0).of(30), Budget(20, lambda: 0.0).of(30)
            (30, 20.0)
        """
        return min(wanted, max(0.0, self.seconds - (self.clock() - self._started)))


def limited(arguments: list[str], limit: float, log: TextIO) -> str:
    """Run Python with arguments, kill it and what it started at the limit, and say how it ended.

    Args:
        arguments: What follows ``python`` on the command line.
        limit: Seconds; 0 runs nothing.
        log: Takes what it writes.
    """
    if limit <= 0:
        return "not begun: no time was left"
    log.write(f"\n== python {' '.join(arguments)}\n")
    log.flush()
    started = time.monotonic()
    # a group of its own, so that what it starts ends with it
    process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log, start_new_session=True)
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"stopped at its limit of {limit:.0f} s"
    took = f"after {time.monotonic() - started:.0f} s"
    return f"whole, {took}" if status == 0 else f"failed with status {status}, {took}"
