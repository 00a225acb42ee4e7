"""Seconds until the command line answers, on the clock and of CPU, beside the bare interpreter and ``import torch``.

    python -m benchmarks.startup [--run RUN_DIR] [--repeats 5]

Each line has the medians of whole processes, which ran in turn; the last column is CPU seconds over ``import torch``.
On a machine that others use too, the seconds of CPU say more.
"""

from __future__ import annotations

import argparse
import resource
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


def cpu_of_children() -> float:
    """Seconds of CPU, user and system, of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Time all commands in turn and print their medians."""
    parser = argparse.ArgumentParser(description="Seconds until the command line answers.")
    parser.add_argument("--run", help="run folder of a study, for report, recommend and explain")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    timed = commands(given.run)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in timed}
    for _ in range(given.repeats):
        for name, command in timed.items():
            clock, cpu = time.perf_counter(), cpu_of_children()
            subprocess.run(command, capture_output=True, check=False)
            seconds[name].append((time.perf_counter() - clock, cpu_of_children() - cpu))
    medians = {name: [statistics.median(each) for each in zip(*own, strict=True)] for name, own in seconds.items()}
    for name, (clock, cpu) in medians.items():
        print(f"{name:30} {clock:6.2f} s  {cpu:6.2f} s CPU  {cpu / medians['import torch'][1]:5.2f} x torch")


if __name__ == "__main__":
    main()
