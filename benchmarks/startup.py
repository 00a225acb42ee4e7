"""Seconds until the command line answers, beside the bare interpreter and ``import torch``.

    python -m benchmarks.startup [--run RUN_DIR] [--repeats 5]

Each line is the median of whole processes, which ran in turn; the last column is over ``import torch``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

SEMPRUNE = [sys.executable, "-m", "semprune.cli"]


def commands(run: str | None) -> dict[str, list[str]]:
    """What is timed, by its name."""
    found = {
        "bare interpreter": [sys.executable, "-c", "pass"],
        "import torch": [sys.executable, "-c", "import torch"],
        "semprune --help": [*SEMPRUNE, "--help"],
    }
    for name in ("report", "recommend", "prune", "study", "fit"):
        found[f"{name}, a misspelt option"] = [*SEMPRUNE, name, "--misspelt", "1"]
    if run is not None:
        found["report"] = [*SEMPRUNE, "report", run]
        found["recommend"] = [*SEMPRUNE, "recommend", run]
        found["explain"] = [*SEMPRUNE, "explain", "--run", run, "--concept", "sentiment.negative"]
    return found


def main() -> None:
    """Time all commands in turn and print their medians."""
    parser = argparse.ArgumentParser(description="Seconds until the command line answers.")
    parser.add_argument("--run", help="run folder of a study, for report, recommend and explain")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    timed = commands(given.run)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(given.repeats):
        for name, command in timed.items():
            started = time.perf_counter()
            subprocess.run(command, capture_output=True, check=False)
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name, median in medians.items():
        print(f"{name:30} {median:6.2f} s  {median / medians['import torch']:5.2f} x torch")


if __name__ == "__main__":
    main()
