"""Measurements with sets of neurons held at their means: what the causal check and its frontier are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.ablation.measurements import DOMAIN, GENERAL, CausalRun, DenseReading
from semprune.attribution.ablation.neuron_sets import (
    OWN_SETS,
    Draw,
    mean_replacements,
    require_named,
    selections,
    top_neurons,
)
from semprune.attribution.association.association import Association
from semprune.attribution.association.fitted_documents import require_held_out
from semprune.attribution.association.score import DEFAULT_COMBINATION, DEFAULT_RANKING
from semprune.attribution.fit.learner import Labeller
from semprune.backbones import Backbone, ablate
from semprune.errors import SettingError
from semprune.evaluation import dense_text
from semprune.ranges import checked
from semprune.types import Count, Item, Seed, Share

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AblatedRuns:
    """What was measured at one size: with each set of neurons, and of the dense model.

    Attributes:
        share: Share of all neurons.
        k: Their number.
        runs: By name of the set, one for each draw.
    """

    share: float
    k: int
    runs: dict[str, list[CausalRun]]


@checked
def ablated_runs(
    lm: Backbone,
    association: Association,
    concepts: Sequence[str],
    items: Sequence[Item],
    text: Int[Tensor, "sequences tokens"],
    *,
    share: Share | Sequence[Share] = 0.01,
    draws: Count = 3,
    seed: Seed = 0,
    token_budget: Count = 4096,
    first: Count = 1,
    rankings: Mapping[str, Float[Tensor, " neurons"]] | None = None,
    labels: Labeller | None = None,
    by: str = DEFAULT_RANKING,
    combine: str = DEFAULT_COMBINATION,
    divergence: bool = False,
    domain: Int[Tensor, "sequences tokens"] | None = None,
    label: int | None = None,
    progress: Progress = lambda _: None,
) -> list[AblatedRuns]:
    """Measure with each set of neurons held at their means: what :func:`causal_check` and the frontier are made of.

    Args:
        lm: The dense backbone.
        association: Fitted on documents that share none with ``items``.
        concepts: Columns that stand for the target; their strengths add up.
        items: Held-out items of one data set with classes.
        text: Held-out sequences of no domain.
        share: Share of all neurons to ablate, or several; the dense model is measured once.
        draws: Random draws of each random control.
        seed: Seed of the draws.
        token_budget: Padded tokens of a scoring batch.
        first: Position of the first token of a text that is predicted.
        rankings: Further rankings by name.
        labels: Words whose log-probability in ``text`` is measured.
        by: Ranking of the association.
        combine: How concepts of words and of documents add up.
        divergence: Whether the divergence from the dense model is measured on the text, in the same forwards.
        domain: With it, held-out sequences of the task's own domain, which are read too; None for none.
        label: The class whose neurons they are: the task is to tell it from all others; None for all classes.
        progress: Told the name of each selection before it runs.

    Raises:
        ConfigurationError, SettingError, BackboneMismatchError, FittedDocumentError: See :func:`causal_check`.
    """
    association.require(lm.fingerprint)
    if association.fitted is not None:
        require_held_out(association.fitted, items)
    shares = [share] if isinstance(share, float | int) else list(share)
    check_names(rankings or {})
    check_rankings(association, rankings or {})
    counts = {each: max(1, int(each * len(association.rms))) for each in shares}
    for name, ranking in (rankings or {}).items():
        require_named(name, ranking, max(counts.values()))
    chosen = {each: top_neurons(association, concepts, count, by, combine) for each, count in counts.items()}
    progress("dense")
    texts = {GENERAL: text} if divergence else {}
    texts |= {DOMAIN: domain} if divergence and domain is not None else {}
    kept = {name: DenseReading(ids, dense_text(lm.model, ids.to(lm.device), first=first).states)
            for name, ids in texts.items()}  # fmt: skip
    run = partial(CausalRun, lm, items, text, labels, token_budget, first, kept, label)
    dense = [run()]
    checks = []
    for each, rows in chosen.items():
        say = progress if len(shares) == 1 else lambda name, each=each: progress(f"{name}, {each:g}")
        sets = selections(association, rows, draws, rankings or {})
        runs = {"dense": dense} | _ablated(lm, association, sets, run, seed, say)
        checks.append(AblatedRuns(each, len(rows), runs))
    return checks


def _ablated(
    lm: Backbone,
    association: Association,
    chosen: Mapping[str, tuple[Draw, int]],
    run: Callable[[], CausalRun],
    seed: int,
    progress: Progress,
) -> dict[str, list[CausalRun]]:
    """Measure with every selection of neurons held at their means, each as often as it is drawn."""
    generator = torch.Generator().manual_seed(seed)
    runs: dict[str, list[CausalRun]] = {}
    for name, (draw, times) in chosen.items():
        progress(name)
        runs[name] = []
        for _ in range(times):
            with ablate(lm.model, mean_replacements(association, draw(generator))):
                runs[name].append(run())
    return runs


def check_rankings(association: Association, rankings: Mapping[str, Tensor]) -> None:
    """Refuse rankings of other neurons, and those that are no numbers.

    Raises:
        SettingError: One is.
    """
    for name, ranking in rankings.items():
        if ranking.shape != association.rms.shape or not torch.isfinite(ranking).all():
            raise SettingError("rankings", name, f"one finite number for each of the {len(association.rms)} neurons")


def check_names(rankings: Iterable[str]) -> None:
    """Refuse names of rankings that a causal check's own rows have.

    Raises:
        SettingError: One is taken.
    """
    reserved = {"dense", *OWN_SETS}
    for name in rankings:
        if name in reserved:
            raise SettingError("rankings", name, f"named otherwise than {', '.join(sorted(reserved))}")
