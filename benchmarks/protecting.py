"""What protecting costs over the same pruning that protects nothing: with a stated strength, and a chosen one.

python -m benchmarks.protecting --methods wanda sparsegpt --sequences 64 --length 512

All blocks are there: the readout, which a protected text needs and a calibration does not, is of the whole model. CPU
time counts, which a busy machine disturbs least.
"""

from __future__ import annotations

import argparse

from benchmarks.pruning import CLOCKS, show

from semprune import Protection, load_backbone, prune_model
from semprune.data import CalibrationDataModule
from semprune.pruning.weights.linear import WeightCopy


def main() -> None:
    """Time every side, one after the other in each repeat, and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--methods", nargs="+", default=["wanda", "sparsegpt"])
    parser.add_argument("--protect", default="amazon_reviews")
    parser.add_argument("--strengths", nargs="+", choices=["stated", "auto"], default=["stated", "auto"])
    parser.add_argument("--items", type=int, default=Protection.items)
    parser.add_argument("--budget", type=float, default=10.0, help="wide, so that a choice never fails")
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--length", type=int, default=512, help="as the shipped configurations")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="cpu")
    asked = parser.parse_args()
    lm = load_backbone(asked.backbone, dtype=asked.dtype)
    ids = CalibrationDataModule("c4", asked.sequences, asked.length).bind(lm).calibration_input_ids()
    dense, clock = WeightCopy(lm.model), CLOCKS[asked.clock]
    tokens = f"{asked.sequences} x {asked.length} tokens of c4"
    print(f"{asked.backbone}, {lm.dtype}, {tokens}, {asked.items} items of {asked.protect}")
    for method in asked.methods:
        protected = {
            "stated": Protection(asked.protect, items=asked.items),
            "auto": Protection(asked.protect, strength="auto", items=asked.items, budget=asked.budget),
        }
        sides = {method: None, **{f"{method}, strength {name}": protected[name] for name in asked.strengths}}
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(asked.repeats):
            for name, protect in sides.items():
                start = clock()
                prune_model(lm, ids, method=method, sparsity=0.5, protect=protect)
                seconds[name].append(clock() - start)
                dense.write_back()
        for name in sides:
            show(name, seconds, None if name == method else method)


if __name__ == "__main__":
    main()
