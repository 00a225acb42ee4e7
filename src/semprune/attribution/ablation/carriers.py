"""What single neurons of a set carry of a task: each held at its mean alone, and let go out of the set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy.special import log_softmax
from torch import Tensor

from semprune.attribution.ablation.neuron_sets import mean_replacements
from semprune.attribution.association.association import Association
from semprune.attribution.association.fitted_documents import require_held_out
from semprune.attribution.neurons.logit_lens import written_tokens
from semprune.attribution.neurons.max_activating import MaxActivatingTokens
from semprune.backbones import Backbone, ablate, capture
from semprune.errors import ConfigurationError, SettingError
from semprune.evaluation import predict_items
from semprune.evaluation.predictions.prediction import against_others, choice_scores
from semprune.ranges import checked
from semprune.statistics.bootstrap import Statistic
from semprune.statistics.estimate import Estimate, jackknifed
from semprune.types import Count, Item, NeuronSite

WRITTEN = 3  # tokens that are named


@checked
def carriers(
    lm: Backbone,
    association: Association,
    items: Sequence[Item],
    chosen: Int[Tensor, " k"],
    text: Int[Tensor, "sequences tokens"],
    *,
    first: Count = 10,
    label: int | None = None,
    token_budget: Count = 4096,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Say of the first neurons of a set what each carries, what excites it and what it writes.

    Two passes over the items for each neuron, and two more.

    Args:
        lm: The dense backbone.
        association: Its neurons and their means; fitted on documents that share none with ``items``.
        items: Held-out items of one data set with classes.
        chosen: Rows of the set, most important first; two or more.
        text: Where exciting tokens are looked for.
        first: Neurons that are held and let go one by one.
        label: The class whose neurons they are, against all others; None for all classes.
        token_budget: Padded tokens of a scoring batch.
        progress: Told what runs.

    Returns:
        One row per neuron: ``dense``, the model's :func:`separation` in nats; ``together``, what it loses with all of
        the set held; ``alone``, with this neuron alone; ``with_others``, how much more the whole set takes than the set
        without it, both with 95 % intervals by the jackknife over documents; ``excited_by`` and ``writes``.

    Raises:
        SettingError: The set has fewer than two neurons.
        BackboneMismatchError: The association is another backbone's.
        FittedDocumentError: The association was fitted on documents of the items.
        NonFiniteError: The model gives NaN or infinite log-probabilities.
    """
    association.require(lm.fingerprint)
    if association.fitted is not None:
        require_held_out(association.fitted, items)
    if len(chosen) < 2:
        raise SettingError("chosen", len(chosen), "two neurons or more: one carries nothing with others")
    documents: list[str] = []

    def read(rows: Tensor) -> Statistic:
        with ablate(lm.model, mean_replacements(association, rows)):
            predictions = predict_items(lm, items, token_budget=token_budget)
        documents[:] = predictions["document_id"].astype(str)
        scored = choice_scores(predictions)
        scored = scored if label is None else against_others(scored, label)
        return separation(log_softmax(scored.scores, axis=1), scored.labels)

    progress("dense")
    dense = read(chosen[:0])
    progress(f"all {len(chosen)}")
    held, names, rows = read(chosen), association.neurons, []
    exciting = _exciting(lm, association, chosen[:first], text)
    for place, row in enumerate(chosen[:first].tolist()):
        progress(names[row])
        alone = _difference(dense, read(torch.tensor([row])), documents)
        others = _difference(read(chosen[chosen != row]), held, documents)
        once = np.ones((1, len(documents)))
        rows.append({
            "neuron": names[row], "rank": place + 1, "k": len(chosen), "n": len(documents),
            "dense": float(dense(once)[0]), "together": float((dense(once) - held(once))[0]),
            **_ends("alone", alone), **_ends("with_others", others),
            "excited_by": exciting[place], "writes": _writes(lm, association, names[row]),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _writes(lm: Backbone, association: Association, name: str) -> str:
    """The first tokens that a neuron writes; empty where a model's unembedding does not read what neurons write."""
    try:
        found = written_tokens(lm, *association.index.place(name), WRITTEN)["promoted"]
    except ConfigurationError:
        return ""
    return " ".join(repr(str(token)) for token in found)


def separation(logprobs: Float[np.ndarray, "items choices"], labels: Int[np.ndarray, " items"]) -> Statistic:
    r"""How much likelier the right answer is at its own items than at any: what does not hang on a liking for answers.

    .. math:: \frac 1n \sum_i \ell_{i y_i} - \sum_c p_c \, \frac 1n \sum_i \ell_{ic}

    with log-probabilities ℓ among the choices and shares `p` of the labels: the covariance of answers and labels, in
    nats. A single neuron moves it where it moves no rank.

    Source: ours; equations.md S8, its standardised covariance.

    Example:
        >>> statistic = separation(np.log([[0.5, 0.25], [0.25, 0.5]]), np.array([0, 1]))
        >>> round(float(statistic(np.ones((1, 2)))[0]), 4)  # ½ log 2
        0.3466
    """
    right = logprobs[np.arange(len(labels)), labels]
    shares = np.eye(logprobs.shape[1])[labels]

    def statistic(weights: Float[np.ndarray, "resamples items"]) -> Float[np.ndarray, " resamples"]:
        weights = weights / weights.sum(-1, keepdims=True)
        out: np.ndarray = weights @ right - ((weights @ shares) * (weights @ logprobs)).sum(-1)
        return out

    return statistic


def _difference(one: Statistic, other: Statistic, documents: Sequence[str]) -> Estimate:
    return jackknifed(lambda weights: one(weights) - other(weights), documents)


def _ends(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.interval[0], f"{name}_high": found.interval[1]}


def _exciting(lm: Backbone, association: Association, rows: Tensor, text: Tensor) -> list[str]:
    """Of each neuron the token of the text that excites it most, between brackets, in its context."""
    most, index = MaxActivatingTokens(len(rows), lm.device), association.index
    values = torch.zeros(*text.shape, len(rows))

    def keep(site: NeuronSite, activations: Tensor) -> None:
        where = index.where(site)
        for slot, row in enumerate(rows.tolist()):
            if where.start <= row < where.stop:
                values[place, :, slot] = activations[0, :, row - where.start].float().cpu()

    with torch.no_grad(), capture(lm.model, association.sites, keep):
        for place in range(len(text)):
            lm.model.base_model(input_ids=text[place : place + 1].to(lm.device), use_cache=False)
    valid = torch.ones_like(text, dtype=torch.bool)
    valid[:, 0] = False  # the attention sink
    most.add(values, text, valid, torch.ones_like(text))
    decode = lm.tokenizer.decode
    found = (most.of(slot)[0] for slot in range(len(rows)))
    return [f"{decode(before)}‹{decode([token])}›{decode(after)}" for _, before, token, after in found]
