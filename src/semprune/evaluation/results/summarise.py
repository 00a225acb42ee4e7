"""From predictions to results: value, interval, and the paired test against the dense model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from semprune.artefacts import TABLES
from semprune.errors import UnknownDatasetError, UnpairedPredictionsError
from semprune.evaluation.metrics import ChoiceScores, item_values, measure, metric, right_choices
from semprune.evaluation.perplexity import perplexity_of
from semprune.evaluation.predictions.prediction import choice_scores
from semprune.evaluation.results.comparison import Row, compare, compare_areas, compare_shares
from semprune.ranges import checked
from semprune.statistics.bootstrap import Statistic
from semprune.statistics.weighting import Array
from semprune.types import Count, Seed

LEFT_OUT = "left_out"
MEASUREMENT_COLUMNS = (*TABLES["results"].measured, LEFT_OUT)
"""Columns of a results table; whoever ran the model adds which model, method and setting it was."""


@checked
def summarise(
    predictions: pd.DataFrame,
    dense: pd.DataFrame | None = None,
    *,
    families: Mapping[str, str],
    metrics: Mapping[str, Sequence[str]],
    left_out: Mapping[tuple[str, str], int] | None = None,
    seed: Seed = 0,
    resamples: Count = 1000,
) -> pd.DataFrame:
    """Measure predictions, and compare them item by item with the dense model's.

    Accuracy and acc_norm have Wilson's interval, their differences Tango's and the exact McNemar test; AUROC has
    DeLong's test; the others have percentile intervals and tests of the bootstrap. All count documents as the
    independent units. p is not corrected for many tests, see :func:`semprune.statistics.significance.holm`.

    Args:
        predictions: Table of :func:`semprune.evaluation.predict_items`.
        dense: The dense model's table of the same items; None where ``predictions`` is the dense model's.
        families: Task family of each data set.
        metrics: Metrics of each data set.
        left_out: Items of each data set and prompt that could not be scored; None takes what
            :func:`semprune.evaluation.predict_items` noted in the table's ``attrs``.
        seed: Seed of the bootstrap, where a metric has one; the same draws serve both models.
        resamples: Number of bootstrap resamples.

    Returns:
        One row per data set, prompt and metric with :data:`MEASUREMENT_COLUMNS`. Dense rows have their own value
        as ``dense``, difference 0, and p NaN. ``n`` items were measured, ``left_out`` beside them could not be.

    Raises:
        UnknownDatasetError: If a data set has no family or no metrics.
        UnknownMetricError: If a metric is not registered.
        MetricUndefinedError: If a metric needs a fixed label set and the items have none.
        UnpairedPredictionsError: If the two tables hold different items.
    """
    rows: list[Row] = []
    unscored = predictions.attrs.get(LEFT_OUT, {}) if left_out is None else left_out
    for key, group in predictions.groupby(["dataset", "prompt"], sort=True):
        dataset, prompt = str(key[0]), str(key[1])
        if dataset not in families or dataset not in metrics:
            raise UnknownDatasetError(dataset, set(families) & set(metrics))
        keys: Row = {"dataset": dataset, "family": families[dataset], "prompt": prompt}
        keys[LEFT_OUT] = unscored.get((dataset, prompt), 0)
        group, partner = _paired(dataset, prompt, group, dense)
        measured = _measure_group(group, partner, metrics[dataset], seed=seed, resamples=resamples)
        rows.extend(keys | row for row in measured)
    return pd.DataFrame(rows, columns=list(MEASUREMENT_COLUMNS))


def _paired(
    dataset: str, prompt: str, group: pd.DataFrame, dense: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Both models' rows of one data set and prompt, in the order of the items."""
    group = group.sort_values("item_id", ignore_index=True)
    if dense is None:
        return group, None
    partner = dense[(dense["dataset"] == dataset) & (dense["prompt"] == prompt)]
    partner = partner.sort_values("item_id", ignore_index=True)
    mine, theirs = set(group["item_id"]), set(partner["item_id"])
    if mine != theirs or len(group) != len(partner):
        raise UnpairedPredictionsError(dataset, len(theirs - mine), len(mine - theirs))
    return group, partner


def _measure_group(
    group: pd.DataFrame, partner: pd.DataFrame | None, names: Sequence[str], *, seed: int, resamples: int
) -> Iterator[Row]:
    """Measure one data set and prompt."""
    documents = group["document_id"].astype(str).tolist()
    pruned = choice_scores(group)
    dense = None if partner is None else choice_scores(partner)
    for name in names:
        yield {"metric": name} | _compared(name, pruned, dense, documents, seed, resamples)


def _compared(
    name: str, pruned: ChoiceScores, dense: ChoiceScores | None, documents: Sequence[str], seed: int, resamples: int
) -> Row:
    """One metric by the statistics that its kind has."""
    if metric(name).counts_items:
        return compare_shares(
            right_choices(name, pruned), None if dense is None else right_choices(name, dense), documents
        )
    if metric(name).item_values is not None:
        before = None if dense is None else item_values(name, dense)
        return compare_areas(item_values(name, pruned), before, pruned.labels, documents)
    reference = None if dense is None else _statistic(name, dense)
    return compare(_statistic(name, pruned), reference, documents, seed=seed, resamples=resamples)


def _statistic(name: str, scored: ChoiceScores) -> Statistic:
    """Return a metric of these items as a function of the weights alone."""
    return lambda weights: measure(name, scored, weights)


def summarise_perplexity(
    nll: Float[Tensor, " sequences"],
    dense: Float[Tensor, " sequences"] | None = None,
    *,
    dataset: str,
    seed: int = 0,
    resamples: int = 1000,
) -> pd.DataFrame:
    """Perplexity over sequences as a results row.

    Args:
        nll: Mean NLL of each sequence, of :func:`semprune.evaluation.perplexity.perplexity`.
        dense: The dense model's, on the same sequences; None where ``nll`` is the dense model's.
        dataset: Name of the text.
        seed: Seed of the bootstrap over sequences.
        resamples: Number of resamples.

    Returns:
        One row with :data:`MEASUREMENT_COLUMNS`, family ``language_modelling``, metric ``perplexity``.

    Raises:
        UnpairedPredictionsError: If the two models have different numbers of sequences.
    """
    if dense is not None and len(dense) != len(nll):
        raise UnpairedPredictionsError(dataset, max(0, len(dense) - len(nll)), max(0, len(nll) - len(dense)))
    sequences = [str(index) for index in range(len(nll))]
    statistics = [_perplexity_statistic(values) for values in (nll, dense) if values is not None]
    reference = statistics[1] if dense is not None else None
    row: Row = {"dataset": dataset, "family": "language_modelling", "prompt": "", "metric": "perplexity", LEFT_OUT: 0}
    row |= compare(statistics[0], reference, sequences, seed=seed, resamples=resamples)
    return pd.DataFrame([row], columns=list(MEASUREMENT_COLUMNS))


def _perplexity_statistic(nll: Float[Tensor, " sequences"]) -> Statistic:
    """Return the perplexity of these sequences as a function of the weights alone."""
    values: Array = nll.double().cpu().numpy()
    return lambda weights: perplexity_of(values, weights)
