"""Causal check (SCIENCE S7): does ablating the neurons of a concept hurt it, and little else?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from semprune.attribution.association import Association
from semprune.attribution.neuron_sets import mean_replacements, selections, top_neurons
from semprune.backbones import Backbone, ablate
from semprune.evaluation import compare, measure, outcomes, perplexity, predict_items
from semprune.evaluation.perplexity import perplexity_of
from semprune.evaluation.statistics import Statistic
from semprune.types import Item

Progress = Callable[[str], None]


def causal_check(
    lm: Backbone,
    association: Association,
    concepts: Sequence[str],
    items: Sequence[Item],
    text: Int[Tensor, "sequences tokens"],
    *,
    target: str,
    share: float = 0.01,
    draws: int = 3,
    seed: int = 0,
    token_budget: int = 4096,
    progress: Progress = lambda _: None,
) -> pd.DataFrame:
    """Mean-ablate the strongest neurons of a target and compare with controls of the same number.

    Args:
        lm: The dense backbone.
        association: Fitted on documents that share none with ``items``.
        concepts: Columns that stand for the target; their strengths add up.
        items: Held-out items of one binary data set; AUROC of the label log-odds is measured.
        text: Held-out sequences for the perplexity.
        target: Name of the target in the table.
        share: Share of all neurons to ablate.
        draws: Random draws of each random control; their mean is the control.
        seed: Seed of the draws and of the bootstrap.
        token_budget: Padded tokens of a scoring batch.
        progress: Told the name of each selection before it runs.

    Returns:
        One row per selection and metric (``auroc``, ``perplexity``): value, 95 % interval, difference to dense with
        its paired p, and ``excess``: difference to the matched random draws with its paired interval and p.

    Raises:
        ConfigurationError: Fewer neurons are discoveries than are to be ablated.
        BackboneMismatchError: The association is another backbone's.
    """
    association.require(lm.fingerprint)
    chosen = top_neurons(association, concepts, max(1, int(share * len(association.rms))))
    runs: dict[str, list[_Run]] = {}
    progress("dense")
    runs["dense"] = [_run(lm, nullcontext(), items, text, token_budget)]
    generator = torch.Generator().manual_seed(seed)
    for name, (draw, times) in selections(association, chosen, draws).items():
        progress(name)
        sets = [mean_replacements(association, draw(generator)) for _ in range(times)]
        runs[name] = [_run(lm, ablate(lm.model, held), items, text, token_budget) for held in sets]
    common = {"target": target, "dataset": items[0].dataset, "share": share, "k": len(chosen)}
    return pd.DataFrame([common | row for row in _rows(runs, items, seed)])


class _Run:
    """Predictions and per-sequence losses under one set of held neurons."""

    def __init__(self, predictions: pd.DataFrame, nll: Tensor) -> None:
        self.scored = outcomes(predictions)
        self.documents = predictions["document_id"].astype(str).tolist()
        self.nll = nll.double().numpy()


def _run(
    lm: Backbone, held: AbstractContextManager[None], items: Sequence[Item], text: Tensor, token_budget: int
) -> _Run:
    with held:
        return _Run(predict_items(lm, items, token_budget=token_budget), perplexity(lm.model, text.to(lm.device))[1])


def _auroc(runs: Sequence[_Run]) -> Statistic:
    return lambda weights: np.mean([measure("auroc", run.scored, weights) for run in runs], axis=0)


def _perplexity(runs: Sequence[_Run]) -> Statistic:
    return lambda weights: np.mean([perplexity_of(run.nll, weights) for run in runs], axis=0)


def _rows(runs: dict[str, list[_Run]], items: Sequence[Item], seed: int) -> list[dict[str, object]]:
    dense, matched = runs["dense"], runs["matched_random"]
    sequences = [str(index) for index in range(len(dense[0].nll))]
    rows = []
    for metric, statistic, units in (
        ("auroc", _auroc, dense[0].documents),
        ("perplexity", _perplexity, sequences),
    ):
        for name, each in runs.items():
            against_dense = None if name == "dense" else statistic(dense)
            row = compare(statistic(each), against_dense, units, seed=seed)
            excess = compare(statistic(each), statistic(matched), units, seed=seed)
            kept = {key: row[key] for key in ("value", "low", "high", "n", "difference", "p")}
            kept |= {f"excess{end}": excess[f"difference{end}"] for end in ("", "_low", "_high")}
            rows.append({"selection": name, "draws": len(each), "metric": metric, **kept, "excess_p": excess["p"]})
    return rows
