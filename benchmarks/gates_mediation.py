"""Whose lost activations explain what pruning cost sentiment: gates of several seeds, and their mean over seeds.

    python -m benchmarks.gates_study --run runs/quickstart --output runs/gates
    python -m benchmarks.gates_mediation --run runs/quickstart --gates runs/gates/gates --output runs/gates-mediation
    python -m benchmarks.gates_mediation_page runs/gates-mediation

Activations of the dense model at each set of gates are patched into every pruned model, on data sets that no gate was
fitted on. What is measured is kept in the folder, so that a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor

import semprune
from semprune.attribution.ablation.mediation import mediate
from semprune.backbones import Backbone
from semprune.backbones.hardware import fast_fp32
from semprune.data import CalibrationDataModule, load_items
from semprune.pruning import prune_model

SHARE = 0.01
KINDS = ("one", "several")
"""Of gates, by the wordings that they were learned in."""
TESTED = ("nyt_editorials", "tweets")
METHODS = ("magnitude", "wanda", "ria", "sparsegpt")


def rankings(folder: Path, alone: list[int]) -> dict[str, Tensor]:
    """Scores of each kind of gates: of some seeds, and the mean of all seeds, each from its own last gate on."""
    found: dict[str, Tensor] = {}
    for kind in KINDS:
        paths = sorted(folder.glob(f"{kind}-*-{SHARE:g}.safetensors"))
        if not paths:
            continue
        seeds = {int(path.stem.split("-")[1]): load_file(path)["scores"] for path in paths}
        each = [own - own.topk(round(SHARE * len(own))).values[-1] for own in seeds.values()]
        found[f"{kind} mean"] = torch.stack(each).mean(0)
        found |= {f"{kind} {seed}": seeds[seed] for seed in alone}
    return found


def pruned(lm: Backbone, method: str) -> Backbone:
    """A pruned copy of the dense model."""
    other = replace(lm, model=copy.deepcopy(lm.model))
    text = CalibrationDataModule("c4", 32, 256).bind(lm).calibration_input_ids()
    prune_model(other, None if method == "magnitude" else text, method=method, sparsity=0.5)
    return other


@fast_fp32()  # as in every command
def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="folder with association.safetensors")
    parser.add_argument("--gates", type=Path, default=Path("runs/gates/gates"), help="what gates_study learned")
    parser.add_argument("--output", type=Path, default=Path("runs/gates-mediation"))
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", default="auto", help="of the model, as the gates'")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1], help="patched alone too")
    parser.add_argument("--items", type=int, default=150, help="of each data set")
    asked = parser.parse_args()
    (asked.output / "cells").mkdir(parents=True, exist_ok=True)
    lm = semprune.load_backbone(asked.backbone, dtype=asked.dtype)
    association = semprune.load_association(asked.run / "association.safetensors")
    association.require(lm.fingerprint)
    sets = rankings(asked.gates, asked.seeds)
    if not sets:
        parser.error(f"{asked.gates} holds no gates: learn some by benchmarks.gates_study")
    for method in asked.methods:
        paths = {key: asked.output / "cells" / f"{method}-{'-'.join(key)}.parquet" for key in product(sets, TESTED)}
        left = {key: path for key, path in paths.items() if not path.exists()}
        if not left:
            continue
        other = pruned(lm, method)
        for (name, data), path in left.items():
            items = load_items(data, limit=asked.items)
            found = mediate(lm, other, association, items, {name: sets[name]}, share=SHARE, reversed_too=False, draws=2)
            found.assign(method=method).to_parquet(path, index=False)
            print(f"{method}, {name}, {data}", flush=True)
    parts = [pd.read_parquet(path) for path in sorted((asked.output / "cells").glob("*.parquet"))]
    pd.concat(parts, ignore_index=True).to_parquet(asked.output / "mediation.parquet", index=False)


if __name__ == "__main__":
    main()
