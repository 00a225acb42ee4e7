"""Guided against unguided prunings: what is kept of each family, and what it costs in general text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from semprune.analysis import Drops, skill_drops, text_divergences
from semprune.analysis.divergences import TEXT
from semprune.analysis.guided import OF, GuidedPair, guided_pairs
from semprune.artefacts import CELL, records, split_calibration
from semprune.errors import SettingError
from semprune.report.run.formats import interval, number, p_value
from semprune.report.run.labels import MethodLabels, amount_label, family_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.tables.skill import skill_table, skills
from semprune.report.tables.text_table import TextTable

SKILL, KL, PERPLEXITY = "skill", "kl", "perplexity"
MEASURES = {SKILL: "skill kept, %", KL: "KL per token, nats", PERPLEXITY: "perplexity"}
SCALES = {SKILL: (100.0, 0), KL: (1.0, 3), PERPLEXITY: (1.0, 1)}
"""By which a measure is multiplied to be shown, and its digits."""
PAIR = [*OF, "calibration", "protected"]


def guided_table(run: RunArtefacts) -> pd.DataFrame:
    """A row for each guided pruning and measure, beside the same pruning unguided.

    Returns:
        Columns of a choice, ``protected``, ``target`` (a family, or a text), ``measure``, ``unguided``, ``guided``, and
        ``difference`` (guided minus unguided; of perplexity as a share) with ``low``, ``high`` and ``p``, empty for the
        perplexity, whose difference the divergence of the same text tells with its error; ``draws``. No rows where
        nothing is guided, or the run has several backbones.
    """
    if run.results["backbone"].nunique() > 1:
        return pd.DataFrame()
    rows = []
    for target, measure, drops in _measures(run):
        for pair in guided_pairs(drops.cells):
            unguided, guided = (
                drops.estimate(pair.of(own, drops), target).value for own in (pair.unguided, pair.guided)
            )
            saved = pair.saved(drops, target)
            low, high = saved.interval
            row: dict[str, object] = {"target": target, "measure": measure, "unguided": unguided, "guided": guided}
            row |= {"difference": saved.value, "low": low, "high": high, "p": saved.p}
            if measure == SKILL:  # what is kept, not what is lost: the difference is the same
                row |= {"unguided": 1 - unguided, "guided": 1 - guided}
            else:
                row |= {"difference": -saved.value, "low": -high, "high": -low}
            rows.append(_about(pair) | row)
    return pd.DataFrame([*rows, *_perplexities(run)])


def _about(pair: GuidedPair) -> dict[str, object]:
    return {**pair.about, "calibration": pair.calibration, "protected": pair.protected, "draws": len(pair.guided)}


def _measures(run: RunArtefacts) -> list[tuple[str, str, Drops]]:
    found: list[tuple[str, str, Drops]] = []
    table = skill_table(run)
    if table is not None and run.predictions is not None:
        own = skills(table)
        for family in dict.fromkeys(skill.family for skill in own.values()):
            try:
                found.append((family, SKILL, skill_drops(run.predictions, own, family)))
            except SettingError:  # the dense model has no skill there
                continue
    if run.text_fidelity is not None:
        found.append((TEXT, KL, text_divergences(run.text_fidelity)))
    return found


def _perplexities(run: RunArtefacts) -> list[dict[str, object]]:
    own = run.results[(run.results["metric"] == PERPLEXITY) & (run.results["method"] != "dense")]
    if own.empty:
        return []
    cells = own.assign(calibrated=own["calibration"] != "").reset_index(drop=True)
    rows: list[dict[str, object]] = []
    for dataset, part in cells.groupby("dataset", sort=False):
        values = part["value"].to_numpy()
        for pair in guided_pairs(part[CELL].reset_index(drop=True)):
            unguided, guided = (float(np.mean(values[places])) for places in (pair.unguided, pair.guided))
            row = {"target": dataset, "measure": PERPLEXITY, "unguided": unguided, "guided": guided}
            nothing = {"low": np.nan, "high": np.nan, "p": np.nan}
            rows.append(_about(pair) | row | {"difference": guided / unguided - 1} | nothing)
    return rows


def guided_text(table: pd.DataFrame, labels: MethodLabels) -> TextTable:
    """The table for people.

    Args:
        table: What :func:`guided_table` returned.
        labels: What methods are called.
    """
    caption = (
        "Pruned models that keep something beside the same ones that keep nothing, at the same sparsity, calibration "
        "text and draws. The difference is paired by item (of skill) or sequence (of text), with its 95 % interval; "
        "with several draws these vary too. Of perplexity it is in per cent."
    )
    header = ["pruned", "keeping", "of", "measure", "unguided", "guided", "difference", "p"]
    rows = [_row(row, labels) for _, own in table.groupby(PAIR, sort=False) for row in records(own)]
    return TextTable(caption, header, rows, names=4)


def guided_sentence(table: pd.DataFrame, choice: Mapping[str, Any]) -> str:
    """What a guided choice keeps more than the same unguided, and less; empty where it is not guided.

    Args:
        table: What :func:`guided_table` returned.
        choice: Columns of a choice, its calibration with what it keeps.
    """
    text, protected = split_calibration(choice["calibration"])
    if not protected or table.empty:
        return ""
    own = (table[PAIR] == [*(choice[name] for name in OF), text, protected]).all(axis=1)
    parts = [f"{_target(row)} {changed(row)}" for row in records(table[own])]
    return f"Beside {text} alone, keeping {protected}: {'; '.join(parts)}." if parts else ""


def _target(row: Mapping[str, Any]) -> str:
    if row["measure"] == PERPLEXITY:
        return f"perplexity of {row['target']}"
    return "KL of held-out text" if row["measure"] == KL else f"{family_label(row['target']).lower()} kept"


def changed(row: Mapping[str, Any]) -> str:
    """The difference with its sign, its unit where it is a share, and its interval where it has one."""
    if row["measure"] == PERPLEXITY:
        return f"{_signed(100 * row['difference'], 1)} %"
    scale, digits = SCALES[row["measure"]]
    change = _signed(scale * row["difference"], digits)
    return f"{change} {interval(scale * row['low'], scale * row['high'], digits)}"


def _signed(value: float, digits: int) -> str:
    return f"{'+' if value > 0 else ''}{number(value, digits)}"


def _row(row: Mapping[str, Any], labels: MethodLabels) -> list[str]:
    pruned = f"{labels.label(row['method'])} {amount_label(row['pattern'], row['sparsity'])}, {row['calibration']}"
    scale, digits = SCALES[row["measure"]]
    shown = [number(scale * row[each], digits) for each in ("unguided", "guided")]
    p = "" if row["measure"] == PERPLEXITY else p_value(row["p"])
    return [pruned, row["protected"], _of(row), MEASURES[row["measure"]], *shown, changed(row), p]


def _of(row: Mapping[str, Any]) -> str:
    if row["measure"] == PERPLEXITY:
        return str(row["target"])
    return "held-out text" if row["measure"] == KL else family_label(row["target"])
