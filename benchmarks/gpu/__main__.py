"""Everything that is to be known of a GPU, in one run of at most nine minutes.

python -m benchmarks.gpu --output runs/gpu
python -m benchmarks.gpu --output runs/gpu --device cpu --tiny   # shows that everything works, and nothing more

Each part is a process with a time limit, and what it measured until then stays. ``summary.md`` and ``results.json`` are
whole after every part; ``log.txt`` holds what the parts said.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from benchmarks.gpu.processes import Budget, limited
from benchmarks.gpu.record import read_part, summary
from benchmarks.gpu.settings import LIMITS, MINUTES

from semprune.io.files import write_json, write_text


def main() -> None:
    """Run the parts one after the other."""
    asked = arguments()
    asked.output.mkdir(parents=True, exist_ok=True)
    title, budget = device_name(asked.device), Budget(asked.minutes * 60)
    if asked.tiny:
        title += ", tiny: no figure here means anything"
    done: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder, (asked.output / "log.txt").open("w") as log:
        for part in asked.parts:
            path = Path(folder) / f"{part}.json"
            ended = limited(command(part, path, asked), budget.of(LIMITS[part]), log)
            done.append({"part": part, "ended": ended, **read_part(path)})
            write_json(asked.output / "results.json", {"device": title, "parts": done})
            write_text(asked.output / "summary.md", summary(title, done))
            print(f"{part}: {ended}", flush=True)
    print((asked.output / "summary.md").read_text())


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/gpu"), help="folder of the results")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny models: a dry run")
    parser.add_argument("--parts", nargs="+", default=list(LIMITS), choices=list(LIMITS), help="all where left out")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="longest run in all")
    return parser.parse_args()


def command(part: str, path: Path, asked: argparse.Namespace) -> list[str]:
    """Return what follows ``python`` on a part's command line."""
    if part == "checks":
        return ["-m", "pytest", "tests/gpu", "-q", "-p", "no:cacheprovider"]
    tiny = ["--tiny"] if asked.tiny else []
    return ["-m", "benchmarks.gpu.part", part, "--record", str(path), "--device", asked.device, *tiny]


def device_name(device: str) -> str:
    """Say what the figures hold for."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else "CPU"
    return f"{name}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
