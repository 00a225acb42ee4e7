"""Every ranking of neurons for sentiment that is held against the others, of one seed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import joblib
import torch
from benchmarks.attribution.settings import PROMPTS, SELECTION, TESTS, WORDS, Settings
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.ablation.neuron_sets import combined_strength, family_classes
from semprune.attribution.association.association import Association
from semprune.attribution.association.score import COMBINATIONS, RANKINGS
from semprune.attribution.fit.decoder import Decoder
from semprune.attribution.fit.learner import AttributionLearner
from semprune.attribution.gradients.rankings import gradient_rankings
from semprune.attribution.held_out.observations import Moments, Observations, Take
from semprune.attribution.rankings.conductance import conductance_ranking
from semprune.attribution.rankings.lape import concentration
from semprune.backbones import Backbone
from semprune.data import load_items
from semprune.types import Item

DECODER_STEPS, DECODER_RATE = 300, 0.01
ASSOCIATION = "association: "
Rankings = dict[str, Float[Tensor, " neurons"]]


def association_rankings(association: Association) -> Rankings:
    """What an association can rank by: any of these can be the default."""
    classes = family_classes(association, "sentiment")
    out = {}
    for by in RANKINGS:
        out[f"{ASSOCIATION}{by}, words"] = combined_strength(association, WORDS, by)
        out[f"{ASSOCIATION}{by}, classes"] = combined_strength(association, classes, by)
    for by in ("t", "strength", "score"):
        for how in COMBINATIONS[1:]:  # the first is that of classes
            both = combined_strength(association, [*WORDS, *classes], by, how)
            out[f"{ASSOCIATION}{by}, words and classes, {how}"] = both
    return out


def moment_rankings(observations: Observations, association: Association) -> Rankings:
    """The baselines that are functions of means, all from one forward."""
    learner, device = observations.learner, observations.lm.device
    widths = {level: observations.columns(level) for level in observations.used_levels()}
    raw, active = (
        {level: Moments(learner.neurons, c.stop - c.start, device) for level, c in widths.items()} for _ in range(2)
    )

    def taking(level: str) -> Take:
        def take(where: slice, values: Tensor, targets: Tensor) -> None:
            raw[level].take(where, values, targets)
            active[level].take(where, (values > 0).float(), targets)

        return take

    observations.stream({level: taking(level) for level in widths})
    columns = [association.column(name) for name in WORDS]
    classes = [association.column(name) - widths["sequence"].start for name in family_classes(association, "sentiment")]
    words = {
        "mean activation": raw["token"].mean_present,
        "mean difference": raw["token"].difference.abs(),
        "standardised difference": (raw["token"].difference / raw["token"].deviation.clamp(min=1e-12)).abs(),
        "LAPE": concentration(active["token"].mean_present.float()),
    }
    documents = {
        "mean activation": raw["sequence"].mean_present,
        "mean difference": raw["sequence"].difference.abs(),
        "standardised difference": (raw["sequence"].difference / raw["sequence"].deviation.clamp(min=1e-12)).abs(),
        "LAPE": concentration(active["sequence"].mean_present.float()),
    }
    out = {f"{name}, words": ranking[:, columns].sum(1) for name, ranking in words.items()}
    out |= {f"{name}, classes": ranking[:, classes].sum(1) for name, ranking in documents.items()}
    return {name: ranking.float().cpu() for name, ranking in out.items()}


def pooled_documents(observations: Observations) -> tuple[Float[Tensor, "documents neurons"], Tensor]:
    """Standardised activations pooled over each document, and its labels (-1: unknown); in memory."""
    values: dict[int, list[Tensor]] = {}
    targets: list[Tensor] = []

    def take(where: slice, rows: Tensor, labels: Tensor) -> None:
        values.setdefault(where.start, []).append(rows.cpu())
        if where.start == 0:
            targets.append(labels.cpu())

    observations.stream({"sequence": take}, standardised=True)
    return torch.cat([torch.cat(values[start]) for start in sorted(values)], dim=1), torch.cat(targets)


def probe_rankings(pooled: Tensor, targets: Tensor, columns: Sequence[int]) -> Rankings:
    """|Weights| of classifiers of the documents' classes, with the settings of the baselines of these names."""
    linear = import_module("sklearn.linear_model")
    makers = {
        "L2 probe, classes": lambda: linear.LogisticRegression(C=0.01, class_weight="balanced", max_iter=200),
        "elastic-net probe, classes": lambda: linear.SGDClassifier(
            loss="log_loss", penalty="elasticnet", alpha=1e-3, l1_ratio=0.5, class_weight="balanced", random_state=0
        ),
    }

    def fitted(name: str, column: int) -> Tensor:
        known = targets[:, column] >= 0
        classifier = makers[name]().fit(pooled[known].numpy(), targets[known, column].numpy())
        return torch.from_numpy(classifier.coef_[0]).float().abs()

    # the two classes of a data set are each other's opposite; scikit-learn's solvers let other threads run
    fits = [(name, column) for name in makers for column in columns[::2]]
    found = joblib.Parallel(n_jobs=len(fits), prefer="threads")(joblib.delayed(fitted)(*each) for each in fits)
    return {name: torch.stack([w for (own, _), w in zip(fits, found, strict=True) if own == name]).sum(0)
            for name in makers}  # fmt: skip


def decoder_ranking(
    learner: AttributionLearner, pooled: Tensor, targets: Tensor, columns: Sequence[int], k: int
) -> Rankings:
    """|Weights| of decoder heads (equations.md S3) that are trained on the documents, wide enough for ``k`` neurons."""
    decoder = Decoder(len(columns), min(2 * k, pooled.shape[1]))
    own = torch.tensor(columns)
    sequence = learner.sequence
    decoder.start(sequence.iid_t[:, own], sequence.effect[:, own], learner.sequence_design.prevalence[own])
    selected, known = pooled[:, decoder.neurons.flatten()], targets[:, own]
    optimizer = torch.optim.Adam(decoder.parameters(), lr=DECODER_RATE)
    for _ in range(DECODER_STEPS):
        optimizer.zero_grad()
        (decoder.loss(selected, known) / len(known)).backward()
        optimizer.step()
    weight = (decoder.weight * decoder.scale[:, None]).detach().abs()
    total = torch.zeros(pooled.shape[1])
    total.index_add_(0, decoder.neurons.flatten(), weight.flatten())
    return {"decoder weights, classes": total}


def gradient_items(settings: Settings, seed: int) -> list[Item]:
    """Labelled items of the fitted sentiment sets that no check scores; other ones for each seed."""
    out: list[Item] = []
    for name in TESTS:
        if name in settings.datasets:
            scored = {item.document_id for item in load_items(name, limit=settings.items, prompt=PROMPTS.get(name))}
            more = load_items(name, limit=settings.items + 4 * settings.gradient_items, seed=seed + 1)
            out += [item for item in more if item.document_id not in scored][: settings.gradient_items]
    return out


def held_out_items(settings: Settings) -> list[Item]:
    """Items of every set that ablations are measured on."""
    sets = (*TESTS, SELECTION)
    return [item for name in sets for item in load_items(name, limit=settings.items, prompt=PROMPTS.get(name))]


def other_rankings(
    lm: Backbone, learner: AttributionLearner, association: Association, observations: Observations,
    settings: Settings, seed: int,
) -> Rankings:  # fmt: skip
    """The rankings of one seed that are not an association's; random ones are drawn where sets are."""
    out = moment_rankings(observations, association)
    pooled, targets = pooled_documents(observations)
    start = len(learner.shape.concepts)
    columns = [association.column(name) - start for name in family_classes(association, "sentiment")]
    k = int(max(settings.shares) * len(association.rms))
    out |= probe_rankings(pooled, targets, columns) | decoder_ranking(learner, pooled, targets, columns, k)
    items = gradient_items(settings, seed)
    names = {"gradient_activation": "gradient × activation", "mean_ablation_gradient": "attribution patching"}
    out |= {names[name]: ranking for name, ranking in gradient_rankings(lm, association, items).items()}
    out["integrated gradients"] = conductance_ranking(lm, association, items, token_budget=512)
    out["largest mean |activation|"] = association.mean.abs()
    out["global"] = association.any_concept.abs()
    return {name: ranking.detach().float().cpu().contiguous() for name, ranking in out.items()}
