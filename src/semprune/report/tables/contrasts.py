"""Which task family suffers most: each family against the others, by the share of skill lost and in points."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.load_run import RunArtefacts
from semprune.report.tables.headline import dataset_means, headline_table
from semprune.report.tables.skill import lost, skill_table
from semprune.statistics.intervals import Bounded, difference_with_interval, mean_with_interval

CONTRAST_METRICS = ("accuracy", "calibrated_accuracy", "auroc")
"""Accuracy, which a shifted preference for an answer word moves, and two that it does not move."""
_COLUMNS = ("metric", "setting", "family", "datasets", "others", "damage", "other_damage", "difference", "difference_low", "difference_high", "verdict")  # fmt: skip # noqa: E501


def contrast_table(run: RunArtefacts) -> pd.DataFrame:
    """Loss of each family minus that of the others, by the share of skill (``retained``) and in points of a metric.

    The share is pooled over a family's data sets, and the others are the mean of their families. Points are means over
    data sets, of which all others' weigh equally; several prompts of one count as one. Points of a family that the
    dense model can hardly do cannot be compared with points of another, shares can.

    Returns:
        Columns metric, setting, family, datasets, others (numbers of data sets), damage (of the family), other_damage,
        difference, difference_low, difference_high, verdict. The verdict is ``most`` or ``least`` where the 95 %
        interval of the difference to each other family leaves out zero, ``more`` or ``less`` where only that to all of
        them together does, else ``unclear``.
    """
    rows = _shares(run)
    for metric in CONTRAST_METRICS:
        table = headline_table(run, metric)
        table = table[table["family"] != "language_modelling"]
        for setting, families in _by_setting(table).items():
            if len(families) > 1:
                rows += [_contrast(metric, setting, family, families) for family in families]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _shares(run: RunArtefacts) -> list[tuple[object, ...]]:
    table = skill_table(run)
    rows: list[tuple[object, ...]] = []
    if table is None:
        return rows
    counts = table[(table["dataset"] != "") & table["counts"]].groupby("family")["dataset"].nunique()
    pooled = table[(table["dataset"] == "") & table["low"].notna()]
    for setting, own in pooled.groupby("setting", sort=False):
        families = {row["family"]: lost(row) for row in records(own)}
        for family, share in families.items():
            others = {name: other for name, other in families.items() if name != family}
            if others:
                rest = mean_with_interval(*zip(*others.values(), strict=True))
                sizes = int(counts[family]), int(sum(counts[name] for name in others))
                rows.append(("retained", setting, family, *sizes, *_against(share, rest, others)))
    return rows


def _by_setting(table: pd.DataFrame) -> dict[str, dict[str, list[list[float]]]]:
    """Damage and its ends of each family's data sets, by setting."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for (setting, family), means in dataset_means(table, ["setting", "family"]).items():
        found.setdefault(setting, {})[family] = [parts for _, parts in means]
    return found


def _contrast(metric: str, setting: str, family: str, families: dict[str, list[list[float]]]) -> tuple[object, ...]:
    means = {name: mean_with_interval(*zip(*parts, strict=True)) for name, parts in families.items()}
    own = means.pop(family)
    others = [parts for name, datasets in families.items() if name != family for parts in datasets]
    rest = mean_with_interval(*zip(*others, strict=True))
    return metric, setting, family, len(families[family]), len(others), *_against(own, rest, means)


def _against(
    own: Bounded, rest: Bounded, others: Mapping[str, Bounded]
) -> tuple[float, float, float, float, float, str]:
    """Loss, the others' loss, their difference with its ends, and the verdict."""
    difference, low, high = difference_with_interval(own, rest)
    each = [difference_with_interval(own, one) for one in others.values()]
    verdict = "unclear"
    if low > 0:
        verdict = "most" if all(one[1] > 0 for one in each) else "more"
    elif high < 0:
        verdict = "least" if all(one[2] < 0 for one in each) else "less"
    return own[0], rest[0], difference, low, high, verdict
