"""What pruned models keep of what the dense model could do, by data set and by task family."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from semprune.errors import MetricUndefinedError, UnknownDatasetError
from semprune.evaluation.metrics import ChoiceScores, right_choices
from semprune.evaluation.predictions.prediction import choice_scores
from semprune.evaluation.results.flips import check_paired
from semprune.ranges import checked
from semprune.statistics.auroc import auroc_values
from semprune.statistics.intervals import Interval, mean_test
from semprune.statistics.proportions import share_interval
from semprune.statistics.skill import PairedSkill, d_prime, guessing_accuracy, retained_skill
from semprune.statistics.weighting import Array
from semprune.types import PartOrNone

SKILL_METRICS = ("auroc", "acc_norm", "accuracy")
"""What skill is measured by: of those that a data set has, the first. AUROC is over pairs of labels, so that no
preference for one label counts; length-normalised accuracy is listed where the field's practice is so."""
RETAINED_COLUMNS = ("family", "dataset", "prompt", "metric", "n", "guessing", "dense", "pruned", "dense_d_prime", "pruned_d_prime", "retained", "low", "high")  # fmt: skip # noqa: E501
"""Columns of :func:`retained_table`."""
ADMITTED_COLUMNS = ("family", "dataset", "prompt", "metric", "n", "guessing", "dense", "low", "admitted")
"""Columns of :func:`admitted_datasets`."""


def retained_table(
    dense: pd.DataFrame,
    pruned: pd.DataFrame,
    *,
    families: Mapping[str, str],
    metrics: Mapping[str, Sequence[str]],
    admitted: Collection[str] | None = None,
) -> pd.DataFrame:
    """Share of the dense model's skill that the pruned one keeps.

    Points cannot be compared between data sets: a model that hardly beats guessing has few to lose. What is lost of the
    score above guessing can.

    Source: ours, see :func:`semprune.statistics.skill.retained_skill`.

    Args:
        dense: The dense model's predictions.
        pruned: The pruned model's, of the same items.
        families: Task family of each data set.
        metrics: Metrics of each data set.
        admitted: Data sets that count for a family, from :func:`admitted_datasets`; None counts all.

    Returns:
        With :data:`RETAINED_COLUMNS`: one row per data set and prompt, then one per family (its ``dataset`` is empty),
        pooled over the data sets that count, each once however many wordings it has. ``n`` items; d′ only of AUROC.

    Raises:
        UnpairedPredictionsError: If the two tables hold different items.
        UnknownDatasetError: If a data set has no family or no metrics.
        MetricUndefinedError: If it has none of :data:`SKILL_METRICS`.

    Example:
        >>> keys = {"dataset": "toy", "prompt": "ask", "item_id": list("0123"), "document_id": list("0123"),
        ...         "label": [0, 1, 0, 1], "lengths": [[1, 1]] * 4}
        >>> one = pd.DataFrame(keys | {"scores": [[0, -2], [-2, 0], [0, -1], [-1, 0]]})
        >>> two = pd.DataFrame(keys | {"scores": [[0, -2], [-2, 0], [-1, 0], [-1, 0]]})
        >>> settings = {"families": {"toy": "topic"}, "metrics": {"toy": ["accuracy"]}}
        >>> retained_table(one, two, **settings)[["dataset", "guessing", "retained"]].values.tolist()
        [['toy', 0.5, 0.5], ['', 0.5, 0.5]]
    """
    check_paired(dense, pruned)
    rows: list[tuple[object, ...]] = []
    wordings: dict[str, list[PairedSkill]] = {}
    for dataset, prompt, own, other in _paired(dense, pruned):
        name = _metric(dataset, families, metrics)
        before, after = choice_scores(own), choice_scores(other)
        one = PairedSkill(_values(name, before), _values(name, after), _guessing(name, before), _documents(own))
        scores = [float(one.dense.mean()), float(one.pruned.mean())]
        primes = [d_prime(score) if name == "auroc" else float("nan") for score in scores]
        start = (families[dataset], dataset, prompt, name, len(own), one.guessing)
        rows.append((*start, *scores, *primes, *retained_skill([one])))
        if (admitted is None or dataset in admitted) and np.isfinite(scores).all():
            wordings.setdefault(dataset, []).append(one)
    for family in dict.fromkeys(families[dataset] for dataset in wordings):
        rows.append(_family(family, [_joined(own) for name, own in wordings.items() if families[name] == family]))
    return pd.DataFrame(rows, columns=list(RETAINED_COLUMNS))


def _joined(wordings: Sequence[PairedSkill]) -> PairedSkill:
    """A data set in several wordings as one: they ask about the same documents, which are no further evidence."""
    return PairedSkill(
        np.concatenate([one.dense for one in wordings]),
        np.concatenate([one.pruned for one in wordings]),
        float(np.average([one.guessing for one in wordings], weights=[len(one.dense) for one in wordings])),
        [document for one in wordings for document in one.documents],
    )


def _family(family: str, datasets: Sequence[PairedSkill]) -> tuple[object, ...]:
    items = sum(len(one.dense) for one in datasets)
    means = np.mean([(one.guessing, one.dense.mean(), one.pruned.mean()) for one in datasets], axis=0)
    return (family, "", "", "", items, *means, float("nan"), float("nan"), *retained_skill(datasets))


@checked
def admitted_datasets(
    screening: pd.DataFrame,
    *,
    families: Mapping[str, str],
    metrics: Mapping[str, Sequence[str]],
    margin: PartOrNone = 0.1,
) -> pd.DataFrame:
    r"""Which data sets the dense model can do at all, so that something can be lost there.

    .. math:: \underline D \ge g + m (1 - g)

    with the lower end of the score's 95 % interval and guessing g.

    Args:
        screening: The dense model's predictions of items that are never evaluated: chosen and measured on the same
            items, a lucky data set would seem to lose its luck by pruning.
        families: Task family of each data set.
        metrics: Metrics of each data set.
        margin: How far above guessing, m above, of the way to a perfect score; a tenth is ours.

    Returns:
        One row per data set and prompt with :data:`ADMITTED_COLUMNS`.

    Raises:
        UnknownDatasetError: If a data set has no family or no metrics.
        MetricUndefinedError: If it has none of :data:`SKILL_METRICS`.
        SettingError: If the margin is not in [0, 1).
    """
    rows = []
    for (dataset, prompt), own in screening.groupby(["dataset", "prompt"], sort=True):
        name = _metric(str(dataset), families, metrics)
        items = choice_scores(own)
        values, guessing = _values(name, items), _guessing(name, items)
        low = _interval(name, items, values, _documents(own)).low
        enough = bool(low >= guessing + margin * (1 - guessing))
        rows.append((families[str(dataset)], dataset, prompt, name, len(own), guessing, values.mean(), low, enough))
    return pd.DataFrame(rows, columns=list(ADMITTED_COLUMNS))


def _paired(dense: pd.DataFrame, pruned: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    both = [table.sort_values(["dataset", "prompt", "item_id"], ignore_index=True) for table in (dense, pruned)]
    for (dataset, prompt), own in both[0].groupby(["dataset", "prompt"], sort=True):
        yield str(dataset), str(prompt), own, both[1].loc[own.index]


def _metric(dataset: str, families: Mapping[str, str], metrics: Mapping[str, Sequence[str]]) -> str:
    if dataset not in families or dataset not in metrics:
        raise UnknownDatasetError(dataset, set(families) & set(metrics))
    for name in SKILL_METRICS:
        if name in metrics[dataset]:
            return name
    raise MetricUndefinedError("retained skill", f"data set '{dataset}' has none of {', '.join(SKILL_METRICS)}")


def _values(name: str, items: ChoiceScores) -> Array:
    if name == "auroc":
        return auroc_values(items.scores, items.labels)
    return right_choices(name, items).astype(np.float64)


def _guessing(name: str, items: ChoiceScores) -> float:
    return 0.5 if name == "auroc" else guessing_accuracy(items.labels, np.isfinite(items.scores).sum(axis=1))


def _interval(name: str, items: ChoiceScores, values: Array, documents: list[str]) -> Interval:
    return mean_test(values, documents)[0] if name == "auroc" else share_interval(right_choices(name, items), documents)


def _documents(table: pd.DataFrame) -> list[str]:
    return table["document_id"].astype(str).tolist()
