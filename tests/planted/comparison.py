"""The association against the baselines where the right answer is known: ``python -m tests.planted.comparison``.

Prints two Markdown tables: average precision of each ranking on planted worlds, and on tiny Llamas with planted ones.
"""

from __future__ import annotations

import sys
from math import isnan, nan

import torch
from tests.planted.llama import PlantedLlama
from tests.planted.world import World, ranking_precision
from torch import Tensor

from semprune.attribution.fit.closed_form import fit_closed_form
from semprune.attribution.fit.fitted import fitted_association
from semprune.attribution.held_out.observations import Observations
from semprune.attribution.rankings import document_rankings, rank_by

SEEDS = range(5)
NEEDS_LOGITS = ("gradient_times_activation", "integrated_gradients")


def rankings(observations: Observations, names: list[str]) -> tuple[dict[str, Tensor], Tensor]:
    """Every ranking of the token-level concepts by name, and the gate."""
    learner = observations.learner
    tokens = slice(0, len(learner.shape.concepts))
    association = fitted_association(learner, observations.lm.fingerprint, {}, q=0.05)
    out = {f"**association, {by}**": torch.stack([association.ranking(c, by) for c in association.concepts], dim=1)
           for by in ("score", "effect", "strength", "t")}  # fmt: skip
    out |= {name: rank_by(name, observations) for name in names}
    return {name: ranking[:, tokens] for name, ranking in out.items()}, association.gate[:, tokens]


def world(seed: int) -> dict[str, list[float]]:
    """Average precision for exclusive and echo neurons, and for all carriers; false discoveries last."""
    planted = World(seed=seed)
    lm, labeller = planted.backbone(), planted.labeller()
    learner = fit_closed_form(lm, labeller, planted.shape, planted.batches)
    observations = Observations(lm, learner, labeller, planted.batches)
    ranked, gate = rankings(observations, [name for name in document_rankings() if name not in NEEDS_LOGITS])
    out = {
        name: [float(ranking_precision(ranking, truth).mean()) for truth in (planted.own, planted.truth)]
        for name, ranking in ranked.items()
    }
    out["share of false discoveries"] = [nan, float((gate & ~planted.truth).sum() / gate.sum())]
    return out


def llama(seed: int) -> dict[str, list[float]]:
    """Average precision for detectors and echoes; gradients explain the targets' log-probability."""
    planted = PlantedLlama(seed)
    learner = fit_closed_form(planted.lm, planted.labeller, planted.shape, planted.batches)

    def target(logits: Tensor, seen: object) -> Tensor:
        carried = seen.labels & seen.valid[..., None]  # type: ignore[attr-defined]
        return (logits.log_softmax(-1)[..., planted.target] * carried).sum((0, 1))

    observations = Observations(planted.lm, learner, planted.labeller, planted.batches, target)
    ranked, _ = rankings(observations, document_rankings())
    return {name: [float(ranking_precision(ranking, planted.planted).mean())] for name, ranking in ranked.items()}


def table(runs: list[dict[str, list[float]]], header: str) -> str:
    """Mean over seeds, with the lowest and the highest."""
    lines = [header, "|".join(["", *["---"] * (header.count("|") - 1), ""])]
    for name in runs[0]:
        columns = zip(*(run[name] for run in runs), strict=True)
        cells = ["" if isnan(c[0]) else f"{sum(c) / len(c):.2f} [{min(c):.2f}, {max(c):.2f}]" for c in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table([world(seed) for seed in SEEDS], "| ranking | exclusive and echo | all carriers |") + "\n")
    sys.stdout.write(table([llama(seed) for seed in SEEDS], "| ranking | detectors and echoes |"))
