"""Guiding beside a control that needs no guiding: weights whose gradients on the same items are large stay.

python -m benchmarks.protecting_gradients --output runs/protect-gradients

Wanda's product with the input's norm plus the norm of the weight's own gradients of the answer, as GBLM-Pruner has it
(arXiv 2311.04902), both scaled to the same mean over a matrix. Items of three data sets that guide nothing are scored.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from benchmarks.gates_study import read_items, read_text
from torch import Tensor

import semprune
from semprune import Protection
from semprune.backbones import Backbone
from semprune.backbones.hardware import fast_fp32
from semprune.backbones.readout import read_model
from semprune.data import CalibrationDataModule, load_items
from semprune.pruning import dense_statistics, prune_from
from semprune.pruning.guidance.reading import read_protected
from semprune.pruning.weights.linear import PrunableLinear, WeightCopy, prunable_linears
from semprune.statistics.auroc import binary_auroc

TESTED = ("movie_reviews", "nyt_editorials", "tweets")
SETS = ("nothing", "gradients", "guided")


def linears(lm: Backbone) -> Iterator[PrunableLinear]:
    """All matrices that are pruned."""
    return chain.from_iterable(prunable_linears(lm.model).values())


def gradient_norms(lm: Backbone, kept: Protection) -> dict[str, Tensor]:
    """Root of the summed squares of each weight's gradient of the answers' log-odds, over batches of items."""
    (text,) = read_protected([kept], lm.tokenizer, lm.max_length)
    weights = {linear.name: linear.module.weight for linear in linears(lm)}
    squares = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    for weight in weights.values():
        weight.requires_grad_(True)
    for batch in text.batches:
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        score = batch.score(read_model(lm.model, inputs, batch.places).logits)
        for name, gradient in zip(weights, torch.autograd.grad(score, list(weights.values())), strict=True):
            squares[name] += gradient.float().square()
    for weight in weights.values():
        weight.requires_grad_(False)
    return {name: own.sqrt() for name, own in squares.items()}


@torch.no_grad()
def prune_by_gradients(lm: Backbone, norms: Mapping[str, Tensor], statistics: Mapping[str, Tensor]) -> None:
    """Set half of each row's weights to zero, those of the smallest score."""
    for linear in linears(lm):
        weight = linear.module.weight
        parts = [weight.abs().float() * statistics[linear.name].sqrt(), weight.abs().float() * norms[linear.name]]
        score = sum(part / part.mean() for part in parts)
        assert isinstance(score, Tensor)
        smallest = score.topk(score.shape[1] // 2, dim=1, largest=False).indices
        weight.scatter_(1, smallest, 0.0)


@fast_fp32()  # as in every command
def main() -> None:
    """Measure every draw and print what was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/protect-gradients"))
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--protect", default="amazon_reviews")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="draws of the calibration")
    parser.add_argument("--items", type=int, default=150)
    asked = parser.parse_args()
    lm = semprune.load_backbone(asked.backbone, dtype=asked.dtype)
    dense, kept = WeightCopy(lm.model), Protection(asked.protect)
    list(dense)  # taken while the model is dense
    norms = gradient_norms(lm, kept)
    items = {name: load_items(name, limit=asked.items) for name in TESTED}
    text = CalibrationDataModule("wiki", 32, 256).bind(lm)
    tables = [_read(lm, items, text, {"pruned": "dense", "draw": 0})]
    for draw in asked.seeds:
        ids = CalibrationDataModule("c4", 48, 256, seed=draw).bind(lm).calibration_input_ids()
        for name in SETS:
            found = dense_statistics(lm, ids, methods=["wanda"], protect=kept if name == "guided" else None)
            if name == "gradients":
                prune_by_gradients(lm, norms, {each: own.sum_squares for each, own in found.layers.items()})
            else:
                prune_from(lm.model, found, method="wanda", sparsity=0.5)
            tables.append(_read(lm, items, text, {"pruned": name, "draw": draw}))
            dense.write_back()
            _show(pd.concat(tables))
    asked.output.mkdir(parents=True, exist_ok=True)
    pd.concat(tables).to_parquet(asked.output / "items.parquet", index=False)


def _read(
    lm: Backbone, items: Mapping[str, list[semprune.Item]], text: CalibrationDataModule, about: dict
) -> pd.DataFrame:  # type: ignore[type-arg]
    found = pd.concat([read_items(lm, own, name, "first", 1) for name, own in items.items()])
    return found.assign(**about, perplexity=float(np.exp(read_text(lm, text)["nll"].mean())))


def _show(table: pd.DataFrame) -> None:
    """Mean AUROC over data sets, and perplexity, of each model."""
    for (pruned, draw), own in table.groupby(["pruned", "draw"], sort=False):
        each = [float(binary_auroc(rows["log_odds"].to_numpy(), rows["label"].to_numpy() == 1))
                for _, rows in own.groupby("dataset")]  # fmt: skip
        print(
            f"{pruned}, draw {draw}: AUROC {np.mean(each):.3f}, perplexity {own['perplexity'].iloc[0]:.1f}", flush=True
        )


if __name__ == "__main__":
    main()
