"""What every run records of itself: when, how long, how much memory, with which versions."""

from __future__ import annotations

import resource
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "lightning")


class RunClock:
    """Measures one run, from when it is made.

    Example:
        >>> sorted(RunClock().record())[:3]
        ['command', 'finished', 'peak_memory_bytes']
    """

    def __init__(self) -> None:
        """Start."""
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds so far."""
        return time.monotonic() - self._clock

    def record(self) -> dict[str, Any]:
        """Return what ``provenance.json`` says of the run itself: command, times, memory, versions."""
        return {
            "semprune": version("semprune"),
            "command": " ".join(["semprune", *sys.argv[1:]]),
            "started": self._started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_seconds": self.seconds,
            "peak_memory_bytes": peak_memory_bytes(),
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages whose numbers may change results."""
    return {name: version(name) for name in PACKAGES} | {"python": sys.version.split()[0]}


def peak_memory_bytes() -> int:
    """Return the largest resident memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident_bytes() -> int:
    """Return the resident memory of this process now; where the system does not say, the largest so far."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    return peak_memory_bytes()
