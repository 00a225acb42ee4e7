"""One part in a process of its own, so that one that hangs or runs out of memory takes nothing with it.

python -m benchmarks.gpu.part fit --record fit.json --device cuda
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.record import Record
from benchmarks.gpu.settings import FULL, SMALLEST

from semprune.backbones.hardware import fast_fp32


@fast_fp32()  # as in every command
def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    PARTS[asked.part](Record(asked.record), SMALLEST if asked.tiny else FULL, torch.device(asked.device))


if __name__ == "__main__":
    main()
