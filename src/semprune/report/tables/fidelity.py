"""How far each pruned model is from the dense one, on text and in its answers, beside the dense model run again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.labels import family_rank
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import MEASURES
from semprune.report.tables.headline import item_labels
from semprune.report.tables.text_table import TextTable

OF_TEXT = ("kl", "same_top", "log_perplexity")
OF_ITEMS = ("flips", "lost", "gained", "moved", "item_kl", "rank_agreement")
AGAIN = "dense, again"
CAPTIONS = {
    OF_TEXT: "Next-token distributions on held-out text, pruned against dense, with 95 % intervals over its sequences.",
    OF_ITEMS: "Answers to the same items, pruned against dense, right or wrong, with 95 % intervals over documents.",
}


def fidelity_table(run: RunArtefacts, measures: Sequence[str]) -> pd.DataFrame | None:
    """Rows of ``fidelity.parquet`` by family, data set, prompt, measure and setting, the dense model's first.

    Args:
        run: The run's artefacts.
        measures: :data:`OF_TEXT` or :data:`OF_ITEMS`.

    Returns:
        With ``clear``: whether the interval leaves out the noise floor on the side of damage. None for a run that has
        no such rows of a pruned model.
    """
    if run.fidelity is None:
        return None
    table = run.fidelity[run.fidelity["measure"].isin(measures)]
    if not len(table[table["method"] != "dense"]):
        return None
    settings = {setting.label: place for place, setting in enumerate(run.settings)}
    datasets = {name: place for place, name in enumerate(dict.fromkeys(run.results["dataset"]))}
    keys = pd.DataFrame(
        {
            "family": [family_rank(family) for family in table["family"]],
            "dataset": [datasets.get(name, len(datasets)) for name in table["dataset"]],
            "prompt": table["prompt"],
            "measure": [list(measures).index(measure) for measure in table["measure"]],
            "setting": [settings.get(setting, -1) for setting in table["setting"]],
        },
        index=table.index,
    )
    table = table.loc[keys.sort_values(list(keys.columns), kind="stable").index].reset_index(drop=True)
    nearer = [MEASURES[name].higher_is_better for name in table["measure"]]
    ends = zip(table["low"], table["high"], table["floor"], nearer, strict=True)
    return table.assign(clear=[high < floor if up else low > floor for low, high, floor, up in ends])


def fidelity_text(table: pd.DataFrame, measures: Sequence[str]) -> TextTable:
    """The table for people: a column per measure, a row per data set and model.

    Args:
        table: What :func:`fidelity_table` returned.
        measures: The same.
    """
    shown = [MEASURES[name] for name in measures if name in set(table["measure"])]
    rows = []
    labelled = table.assign(label=item_labels(table))
    for (label, setting), own in labelled.groupby(["label", "setting"], sort=False):
        cells = {row["measure"]: _cell(row) for row in records(own)}
        who = AGAIN + str(setting).removeprefix("dense") if own["method"].iloc[0] == "dense" else str(setting)
        rows.append([str(label), who, str(int(own["n"].max())), *(cells.get(one.name, "") for one in shown)])
    header = ["text" if measures == OF_TEXT else "data set", "model", "n", *(one.short for one in shown)]
    floor = f" “{AGAIN}” is the noise floor: some of it read once more in other batches."
    about = CAPTIONS[tuple(measures)] + (floor if (table["method"] == "dense").any() else "")
    return TextTable(about, header, rows, names=2)


def _cell(row: dict[str, Any]) -> str:
    measure = MEASURES[row["measure"]]
    shown = measure.number(row["value"])
    return shown if pd.isna(row["low"]) else f"{shown} {measure.interval(row['low'], row['high'])}"
