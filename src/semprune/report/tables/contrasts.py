"""Which task family suffers most: each family against all others, one metric at a time."""

from __future__ import annotations

import pandas as pd

from semprune.report.run.load_run import RunArtefacts
from semprune.report.tables.headline import dataset_means, headline_table
from semprune.statistics.intervals import difference_with_interval, mean_with_interval

CONTRAST_METRICS = ("accuracy", "calibrated_accuracy", "auroc")
"""Accuracy, which a shifted preference for an answer word moves, and two that it does not move."""


def contrast_table(run: RunArtefacts) -> pd.DataFrame:
    """Mean damage of each family minus that of the mean of all other families' data sets, per metric and setting.

    Data sets weigh equally; several prompts of one count as one. Read it beside the dense scores: a data set that the
    dense model cannot do has nothing to lose.

    Returns:
        Columns metric, setting, family, datasets, others (numbers of data sets), damage (mean of the family),
        other_damage, difference, difference_low, difference_high, verdict (``most`` or ``least`` where the interval
        of the difference to each other family excludes zero, ``more`` or ``less`` where only that to their mean does,
        else ``unclear``).
    """
    rows = []
    for metric in CONTRAST_METRICS:
        table = headline_table(run, metric)
        table = table[table["family"] != "language_modelling"]
        for setting, families in _by_setting(table).items():
            if len(families) > 1:
                rows += [_contrast(metric, setting, family, families) for family in families]
    columns = ["metric", "setting", "family", "datasets", "others", "damage", "other_damage"]
    return pd.DataFrame(rows, columns=[*columns, "difference", "difference_low", "difference_high", "verdict"])


def _by_setting(table: pd.DataFrame) -> dict[str, dict[str, list[list[float]]]]:
    """Damage and its ends of each family's data sets, by setting."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for (setting, family), means in dataset_means(table, ["setting", "family"]).items():
        found.setdefault(setting, {})[family] = [parts for _, parts in means]
    return found


def _contrast(metric: str, setting: str, family: str, families: dict[str, list[list[float]]]) -> tuple[object, ...]:
    own = families[family]
    others = [parts for name, datasets in families.items() if name != family for parts in datasets]
    mean, rest = (mean_with_interval(*zip(*side, strict=True)) for side in (own, others))
    difference, low, high = difference_with_interval(mean, rest)
    verdict = "more" if low > 0 else "less" if high < 0 else "unclear"
    each = [mean_with_interval(*zip(*parts, strict=True)) for name, parts in families.items() if name != family]
    against = [difference_with_interval(mean, one) for one in each]
    if verdict == "more" and all(one[1] > 0 for one in against):
        verdict = "most"
    if verdict == "less" and all(one[2] < 0 for one in against):
        verdict = "least"
    return metric, setting, family, len(own), len(others), mean[0], rest[0], difference, low, high, verdict
