"""What pruning costs concepts of words, and what naming them keeps, on text that guides nothing.

python -m benchmarks.protecting_words --output runs/protect-words
python -m benchmarks.protecting_words_page runs/protect-words

Windows of c4 and stories that hold the words guide; windows of Wikipedia that hold them are read. `words.parquet` has
the nats above frequency of each window's words, and of other words as frequent and as expected; `text.parquet` the
loss of each sequence. What is measured is kept in the folder, so that a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
from functools import cached_property
from pathlib import Path

import pandas as pd
from benchmarks.gates_concepts import WORDS, read_words, words_of_wikipedia
from benchmarks.gates_study import read_text

import semprune
from semprune.attribution.gates.words import WordTask
from semprune.backbones.hardware import fast_fp32
from semprune.data import CalibrationDataModule
from semprune.pruning import dense_statistics, prune_from
from semprune.pruning.guidance.protection import parse_protection
from semprune.pruning.weights.linear import WeightCopy

KEPT = ["", "general", *WORDS, "+".join(WORDS), *(f"{name}@even" for name in WORDS)]
"""What is protected; nothing first."""


class Study:
    """A folder of measured models."""

    def __init__(self, asked: argparse.Namespace) -> None:
        """Load the model; nothing is measured yet."""
        self.asked, self.folder = asked, asked.output
        (self.folder / "cells").mkdir(parents=True, exist_ok=True)
        self.lm = semprune.load_backbone(asked.backbone, dtype=asked.dtype)
        self.dense = WeightCopy(self.lm.model)
        list(self.dense)  # taken while the model is dense

    @cached_property
    def words(self) -> dict[str, WordTask]:
        """Words of Wikipedia that the dense model expects."""
        return words_of_wikipedia(self.lm, self.asked.windows)

    @cached_property
    def text(self) -> CalibrationDataModule:
        """Held-out text."""
        return CalibrationDataModule("wiki", 32, 256).bind(self.lm)

    def measure(self, method: str, kept: str, seed: int) -> None:
        """Read everything with the model as it is, and keep it."""
        columns = {"method": method, "protected": kept, "seed": seed}
        words = pd.concat([read_words(self.lm, name, task) for name, task in self.words.items()])
        words.assign(**columns).to_parquet(self._path(method, kept, seed, "words"), index=False)
        read_text(self.lm, self.text).assign(**columns).to_parquet(self._path(method, kept, seed, "text"), index=False)
        print(f"{method}, keeping {kept or 'nothing'}, draw {seed}", flush=True)

    def _path(self, method: str, kept: str, seed: int, name: str) -> Path:
        return self.folder / "cells" / f"{method}-{kept or 'nothing'}-{seed}.{name}.parquet"

    def run(self) -> None:
        """Measure what is not there yet: statistics of one draw and one protection serve all methods."""
        assert len(self.words) == len(WORDS)  # both are read of the dense model
        if not self._path("dense", "", 0, "text").exists():
            self.measure("dense", "", 0)
        for seed in self.asked.seeds:
            for kept in KEPT:
                left = [m for m in self.asked.methods if not self._path(m, kept, seed, "text").exists()]
                if left:
                    self._prune(left, kept, seed)
        self.join()

    def _prune(self, methods: list[str], kept: str, seed: int) -> None:
        ids = CalibrationDataModule("c4", 48, 256, seed=seed).bind(self.lm).calibration_input_ids()
        protect = parse_protection(kept) if kept else None
        statistics = dense_statistics(self.lm, ids, methods=methods, protect=protect)
        for method in methods:
            prune_from(self.lm.model, statistics, method=method, sparsity=self.asked.sparsity)
            self.measure(method, kept, seed)
            self.dense.write_back()

    def join(self) -> None:
        """Write what all models said as two tables."""
        for name in ("words", "text"):
            parts = sorted((self.folder / "cells").glob(f"*.{name}.parquet"))
            whole = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
            whole.to_parquet(self.folder / f"{name}.parquet", index=False)


@fast_fp32()  # as in every command
def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/protect-words"))
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--methods", nargs="+", default=["wanda", "sparsegpt"])
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="draws of the calibration")
    parser.add_argument("--windows", type=int, default=128, help="of 64 tokens with words of each concept")
    Study(parser.parse_args()).run()


if __name__ == "__main__":
    main()
