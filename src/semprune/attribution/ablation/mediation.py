"""Mediation (equations.md S10): which neurons' changed activations explain what pruning cost a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.attribution.ablation.ablated import check_rankings
from semprune.attribution.ablation.neuron_sets import matched_random, require_named
from semprune.attribution.ablation.patching import Into, Patching, Positions, patched_predictions
from semprune.attribution.association.association import Association
from semprune.attribution.association.fitted_documents import require_held_out
from semprune.backbones import Backbone
from semprune.errors import BackboneMismatchError, ConfigurationError, SettingError
from semprune.evaluation.predictions.prediction import against_others, choice_scores
from semprune.ranges import checked
from semprune.statistics.auroc import auroc_values
from semprune.statistics.estimate import crossed_mean
from semprune.statistics.skill import recovered_share
from semprune.types import Count, Item, Seed, Share


@dataclass(frozen=True, slots=True)
class _Set:
    """Neurons that are patched together: their ranking, which part of it they are, their draws, and into what."""

    ranking: str
    neurons: str
    draws: tuple[Int[Tensor, " chosen"], ...]
    into: Into = "pruned"


@checked
def mediate(
    dense: Backbone,
    pruned: Backbone,
    association: Association,
    items: Sequence[Item],
    rankings: Mapping[str, Float[Tensor, " neurons"]],
    *,
    label: int | None = None,
    share: Share = 0.01,
    layers: tuple[int, int] | None = None,
    positions: Positions = "all",
    reversed_too: bool = True,
    draws: Count = 3,
    seed: Seed = 0,
    token_budget: Count = 4096,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> pd.DataFrame:
    r"""Patch activations of chosen neurons from the dense model into the pruned one, and the other way round.

    .. math:: \text{recovered} = \frac{R_{patched} - R_{pruned}}{R_{dense} - R_{pruned}}

    with the AUROC of the label log-odds R. If what pruning does to a task passes through a set of neurons, their dense
    activations alone bring it back, and their pruned activations alone take it from the dense model. Matched neurons
    (same layers, same activation norms) and all others say how much of that any neurons do.

    Source: equations.md S10; activation patching (Vig et al. 2020, Meng et al. 2022) between two models.

    Args:
        dense: The dense backbone.
        pruned: The pruned one, with its neurons at the same sites.
        association: Names the neurons, their layers and norms.
        items: Held-out items of one data set whose choices are classes.
        rankings: Rankings of all neurons by name, larger is more important; the top of each is patched.
        label: The class whose neurons they are: its log-odds against all others are what AUROC is of; None for all
            pairs of classes.
        share: Share of all neurons that is the top.
        layers: First and last layer whose neurons are patched: of the same top, those that lie there; None for all.
        positions: ``all``; ``readout``, only where an answer is read; ``before_readout``, everywhere else: a late
            neuron at the readout that carries the verdict restores it trivially.
        reversed_too: Whether pruned activations are patched into the dense model too.
        draws: Draws of matched neurons, 2 or more; their own variance is in the interval.
        seed: Seed of the draws.
        token_budget: Padded tokens of a scoring batch.
        progress: Told how many requests of all are answered.

    Returns:
        One row per ranking, ``neurons`` (``chosen``, ``matched``, ``others``) and ``into`` (``pruned``, ``dense``):
        the AUROCs ``dense``, ``pruned`` and ``patched`` with its interval, and ``recovered`` with its interval, paired
        by item: 1 is all of the way to the other model's AUROC. ``recovered`` is NaN where the pruned model's AUROC is
        not clearly below the dense one's: there is nothing to recover.

    Raises:
        SettingError: A setting is out of its range, or a ranking has another number of neurons.
        ConfigurationError: No ranking, none of a ranking's top in these layers, or fewer neurons than are asked for.
        BackboneMismatchError: The association or the pruned model is another backbone's.
        FittedDocumentError: The association was fitted on documents of the items.
    """
    _check(dense, pruned, association, items, rankings, label, positions, draws)
    inside = neurons_inside(association, layers)
    count = max(1, int(share * len(inside)))
    generator = torch.Generator().manual_seed(seed)
    tops = {name: _top(name, ranking, count, inside) for name, ranking in rankings.items()}
    sets = [each for name, top in tops.items() for each in _sets(association, name, top, inside, draws, generator)]
    if reversed_too:
        sets += [replace(each, into="dense") for each in sets]
    first, last = (0, int(association.layer.max())) if layers is None else layers
    common = {
        "dataset": items[0].dataset,
        "prompt": items[0].prompt,
        "positions": positions,
        "first_layer": first,
        "last_layer": last,
    }
    patchings = [Patching(rows, each.into) for each in sets for rows in each.draws]
    *models, patched = patched_predictions(
        dense, pruned, items, patchings, association.sites,
        positions=positions, token_budget=token_budget, progress=progress,
    )  # fmt: skip
    measured = _measured(models, patched, sets, label)
    return pd.DataFrame([common | {"share": share} | row for row in measured])


def _check(
    dense: Backbone,
    pruned: Backbone,
    association: Association,
    items: Sequence[Item],
    rankings: Mapping[str, Tensor],
    label: int | None,
    positions: str,
    draws: int,
) -> None:
    """Refuse what cannot be compared or patched, before anything runs."""
    association.require(dense.fingerprint)
    if pruned.sites != dense.sites:
        raise BackboneMismatchError("the pruned model", str(dense.fingerprint), str(pruned.fingerprint))
    if draws < 2:
        raise SettingError("draws", draws, "at least 2, whose spread says how much a draw matters")
    if positions not in get_args(Positions):
        raise SettingError("positions", positions, f"one of {', '.join(get_args(Positions))}")
    check_label(items, label)
    if association.fitted is not None:
        require_held_out(association.fitted, items)
    if not rankings:
        raise ConfigurationError("name at least one ranking whose first neurons are patched.")
    check_rankings(association, rankings)


def check_label(items: Sequence[Item], label: int | None) -> None:
    """Refuse a class that all items have, or none.

    Raises:
        SettingError: It is so.
    """
    if label is not None and {item.label == label for item in items} != {True, False}:
        has = f"a class of 0 … {len(items[0].requests) - 1} that some items have and some have not"
        raise SettingError("label", label, f"{has} (there are {len(items)}: take more, or another class)")


def neurons_inside(association: Association, layers: tuple[int, int] | None) -> Bool[Tensor, " neurons"]:
    """Which neurons lie in the layers.

    Raises:
        SettingError: There are no such layers.
    """
    layer = association.layer
    if layers is None:
        return torch.ones_like(layer, dtype=torch.bool)
    first, last = layers
    if not 0 <= first <= last <= int(layer.max()):
        raise SettingError("layers", list(layers), f"a first and a last layer within 0 … {int(layer.max())}")
    return (layer >= first) & (layer <= last)


def _top(name: str, ranking: Tensor, count: int, inside: Tensor) -> Int[Tensor, " chosen"]:
    require_named(name, ranking, count)
    top = ranking.topk(count).indices
    own = top[inside[top]]
    if not len(own):
        raise ConfigurationError(f"none of the first {count} neurons by '{name}' lies in these layers.")
    return own


def _sets(
    association: Association,
    name: str,
    top: Int[Tensor, " chosen"],
    inside: Bool[Tensor, " neurons"],
    draws: int,
    generator: torch.Generator,
) -> list[_Set]:
    others = inside.clone()
    others[top] = False
    matched = tuple(matched_random(association, top, generator) for _ in range(draws))
    return [
        _Set(name, "chosen", (top,)),
        _Set(name, "matched", matched),
        _Set(name, "others", (others.nonzero()[:, 0],)),
    ]


def _measured(
    models: Sequence[pd.DataFrame], patched: Sequence[pd.DataFrame], sets: Sequence[_Set], label: int | None
) -> list[dict[str, Any]]:
    """A row of each set, from what both models answered, and what the patched ones did, draw by draw."""
    documents = models[0]["document_id"].astype(str).tolist()
    before = {"dense": _values(models[0], label), "pruned": _values(models[1], label)}
    left, rows = iter(patched), []
    for each in sets:
        values = np.stack([_values(next(left), label) for _ in each.draws])
        donor = before["dense" if each.into == "pruned" else "pruned"]
        area = crossed_mean(values, documents)
        low, high = (float(np.clip(end, 0, 1)) for end in area.interval)
        lost = before["dense"].mean() > before["pruned"].mean()
        share = recovered_share(values, before[each.into], donor, documents) if lost else [np.nan] * 3
        rows.append({
            "ranking": each.ranking, "neurons": each.neurons, "into": each.into, "k": len(each.draws[0]),
            "draws": len(each.draws), "n": len(documents), "dense": float(before["dense"].mean()),
            "pruned": float(before["pruned"].mean()), "patched": area.value, "patched_low": low, "patched_high": high,
            "recovered": share[0], "recovered_low": share[1], "recovered_high": share[2],
        })  # fmt: skip
    return rows


def _values(predictions: pd.DataFrame, label: int | None) -> Float[np.ndarray, " items"]:
    """Values of the items whose mean is the AUROC."""
    found = choice_scores(predictions)
    if label is None:
        return auroc_values(found.scores, found.labels)
    two = against_others(found, label)
    return auroc_values(two.scores, two.labels)
