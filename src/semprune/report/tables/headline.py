"""The headline table and the family table: as frames in the stored units."""

from __future__ import annotations

import numpy as np
import pandas as pd

from semprune.artefacts import TABLES
from semprune.report.run.labels import family_rank
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import HEADLINE_PREFERENCE, METRICS
from semprune.statistics.intervals import mean_with_interval
from semprune.statistics.significance import holm

_MEASURED = ["backbone", *TABLES["results"].keys]
PARTS = ("damage", "damage_low", "damage_high")
VERDICTS = {"worse": "▼", "better": "▲", "unclear": ""}


def headline_metrics(run: RunArtefacts) -> dict[str, str]:
    """The metric that stands for each task family: the most telling one that most of its data sets have.

    Returns:
        Metric name by family, families in the usual order; language modelling has its perplexity.
    """
    chosen = {}
    for family in sorted(set(run.results["family"]), key=family_rank):
        rows = run.results[run.results["family"] == family]
        covered = rows.groupby("metric")["dataset"].nunique()
        ranked = [metric for metric in HEADLINE_PREFERENCE if metric in covered] or sorted(covered.index)
        chosen[family] = max(ranked, key=lambda metric: (covered[metric], -ranked.index(metric)))
    return chosen


def headline_table(run: RunArtefacts, metric: str | None = None) -> pd.DataFrame:
    """Dense against pruned, one row per data set × setting, in the units of ``results.parquet``.

    ``damage`` is how much worse the pruned model is: the drop, or for perplexity the rise. ``p_holm`` is corrected
    over the rows of one setting, that is across data sets within a method (perplexities apart). ``verdict`` is
    ``worse`` or ``better`` only where the paired 95 % interval excludes zero, else ``unclear``.

    Args:
        run: The run's artefacts.
        metric: One metric for all data sets; None takes each family's headline metric.

    Returns:
        Rows by family, data set (in the run's order), prompt, setting.
    """
    if metric not in run.headlines:
        run.headlines[metric] = _headline_table(run, metric)
    return run.headlines[metric].copy()


def _headline_table(run: RunArtefacts, metric: str | None) -> pd.DataFrame:
    results = run.results
    if metric is None:
        chosen = headline_metrics(run)
        keep = [chosen[family] == name for family, name in zip(results["family"], results["metric"], strict=True)]
        results = results[keep]
    else:
        results = results[results["metric"] == metric]
    table = results[results["method"] != "dense"].merge(_dense_intervals(results), how="left", on=_MEASURED)
    sign = np.where([METRICS[name].higher_is_better for name in table["metric"]], -1.0, 1.0)
    ends = sign * table["difference_low"], sign * table["difference_high"]
    table["damage"] = sign * table["difference"]
    table["damage_low"], table["damage_high"] = np.minimum(*ends), np.maximum(*ends)
    table["p_holm"] = float("nan")
    for _, rows in table.groupby(["setting", sign]):
        table.loc[rows.index, "p_holm"] = holm(rows["p"].tolist())
    table["verdict"] = _verdicts(table)
    return _ordered(table, run)


def _dense_intervals(results: pd.DataFrame) -> pd.DataFrame:
    dense = results[results["method"] == "dense"].drop_duplicates(_MEASURED)
    renamed = dense.rename(columns={"low": "dense_low", "high": "dense_high"})
    return renamed[[*_MEASURED, "dense_low", "dense_high"]]


def _verdicts(table: pd.DataFrame) -> list[str]:
    pairs = zip(table["damage_low"], table["damage_high"], strict=True)
    return ["worse" if low > 0 else "better" if high < 0 else "unclear" for low, high in pairs]


def _ordered(table: pd.DataFrame, run: RunArtefacts) -> pd.DataFrame:
    settings = [setting.label for setting in run.settings]
    datasets = list(dict.fromkeys(run.results["dataset"]))
    keys = pd.DataFrame(
        {
            "family": [family_rank(family) for family in table["family"]],
            "dataset": [datasets.index(dataset) for dataset in table["dataset"]],
            "prompt": table["prompt"],
            "metric": [list(METRICS).index(metric) for metric in table["metric"]],
            "setting": [settings.index(setting) for setting in table["setting"]],
        },
        index=table.index,
    )
    return table.loc[keys.sort_values(list(keys.columns), kind="stable").index].reset_index(drop=True)


def family_table(table: pd.DataFrame) -> pd.DataFrame:
    """Mean damage per family × setting, with an interval that combines the data sets' own (MOVER).

    Several prompts of one data set share its items, so they enter as one data set (means of value and of both ends).
    Language modelling is left out: perplexities are not averaged.

    Args:
        table: What :func:`headline_table` returned, with one metric per family.

    Returns:
        Columns family, metric, setting, datasets (their number), damage, damage_low, damage_high, verdict.
    """
    rows = []
    scored = table[table["family"] != "language_modelling"]
    metrics = dict(zip(scored["family"], scored["metric"], strict=True))
    for (family, setting), means in dataset_means(scored, ["family", "setting"]).items():
        per_dataset = sorted(means, key=lambda one: one[0])
        mean = mean_with_interval(*zip(*(parts for _, parts in per_dataset), strict=True))
        rows.append((family, metrics[family], setting, len(per_dataset), *mean))
    families = pd.DataFrame(rows, columns=["family", "metric", "setting", "datasets", *PARTS])
    families["verdict"] = _verdicts(families)
    return families


def dataset_means(table: pd.DataFrame, by: list[str]) -> dict[tuple[str, ...], list[tuple[str, list[float]]]]:
    """Each data set's mean damage over its prompts, and of both its ends, by some columns.

    All groups at once: a run has thousands.

    Returns:
        Name and :data:`PARTS` of each data set by the columns' values, all in the table's order.
    """
    means = table.groupby([*by, "dataset"], sort=False)[list(PARTS)].mean()
    found: dict[tuple[str, ...], list[tuple[str, list[float]]]] = {}
    for (*keys, dataset), parts in zip(means.index, means.to_numpy().tolist(), strict=True):
        found.setdefault(tuple(keys), []).append((dataset, parts))
    return found


def item_labels(table: pd.DataFrame) -> list[str]:
    """Name of each row's data set, with its prompt where the table has several prompts of it."""
    prompts = table.groupby("dataset")["prompt"].transform("nunique")
    triples = zip(table["dataset"], table["prompt"], prompts, strict=True)
    return [f"{dataset} ({prompt})" if count > 1 else str(dataset) for dataset, prompt, count in triples]


def left_out_text(run: RunArtefacts) -> str:
    """How many items of which data sets could not be scored, for a caption; empty where all were, or none can tell."""
    if "left_out" not in run.results:
        return ""
    table = run.results[run.results["left_out"] > 0].drop_duplicates(["dataset", "prompt"])
    if table.empty:
        return ""
    named = zip(item_labels(table), table["left_out"], table["n"], strict=True)
    each = ", ".join(f"{count} of {count + n} of {label}" for label, count, n in named)
    return f"left out, as a choice has no token of its own: {each}"
