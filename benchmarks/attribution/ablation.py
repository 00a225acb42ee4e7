"""What holding a set of neurons at their means does to the held-out sets and to running text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from benchmarks.attribution.settings import Settings
from benchmarks.attribution.stability import top_rows
from jaxtyping import Int
from torch import Tensor

from semprune.attribution.ablation.neuron_sets import matched_random, mean_replacements, random_neurons
from semprune.attribution.association.association import Association
from semprune.backbones import Backbone, ablate
from semprune.data import CalibrationDataModule
from semprune.evaluation import perplexity, predict_items
from semprune.types import Item

LENGTH = 256
MATCHED = " | matched random"
Measured = dict[str, Any]


def text_of(lm: Backbone, settings: Settings) -> Int[Tensor, "sequences tokens"]:
    """Sequences of Wikipedia."""
    return CalibrationDataModule("wiki", settings.sequences, LENGTH).bind(lm).calibration_input_ids()


def measure_now(lm: Backbone, items: Sequence[Item], text: Tensor, token_budget: int) -> Measured:
    """Log-odds, labels and documents of every item by data set, and every sequence's NLL, of the model as it is."""
    table = predict_items(lm, items, token_budget=token_budget)
    out: Measured = {
        "sets": {},
        "nll": [round(value, 6) for value in perplexity(lm.model, text.to(lm.device))[1].tolist()],
    }
    for name, own in table.groupby("dataset"):
        out["sets"][str(name)] = {
            "odds": [round(scores[1] - scores[0], 6) for scores in own["scores"]],
            "labels": own["label"].astype(int).tolist(),
            "documents": own["document_id"].astype(str).tolist(),
        }
    return out


def neuron_sets(
    association: Association, rankings: Mapping[str, Tensor], share: float, seed: int
) -> dict[str, Int[Tensor, " k"]]:
    """The top of every ranking; one draw of neurons of the same layers and norms for each of them; a random set.

    A ranking with fewer positive entries than the share asks for has no set.
    """
    k = max(1, int(share * len(association.rms)))
    tops = {name: top_rows(ranking, k) for name, ranking in rankings.items()}
    sets = {name: rows for name, rows in tops.items() if len(rows) == k}
    sets["random"] = random_neurons(association, k, torch.Generator().manual_seed(seed))
    matched = {
        name + MATCHED: matched_random(association, rows, torch.Generator().manual_seed(seed))
        for name, rows in sets.items()
        if name != "random"
    }
    return sets | matched


def held(association: Association, rows: Tensor) -> str:
    """Hash of which neurons are held, and at what: what a measurement under ablation depends on."""
    content = hashlib.sha256()
    for name, (neurons, values) in sorted(mean_replacements(association, rows.sort().values).items()):
        content.update(name.encode() + neurons.numpy().tobytes() + values.numpy().tobytes())
    return content.hexdigest()[:16]


def measure_held(
    lm: Backbone, association: Association, rows: Tensor, items: Sequence[Item], text: Tensor, token_budget: int
) -> Measured:
    """The same while these neurons are held at their means; labels and documents are those of the dense model."""
    with ablate(lm.model, mean_replacements(association, rows)):
        found = measure_now(lm, items, text, token_budget)
    return {"nll": found["nll"], "sets": {name: {"odds": own["odds"]} for name, own in found["sets"].items()}}
