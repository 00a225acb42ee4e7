"""The tables of docs/how-to/protect.md: what guided prunings keep and cost, beside unguided ones and every control.

python -m benchmarks.protect_page docs/studies/protect/smollm2-135m

Intervals are of items, and of draws of the calibration where there are several.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
from benchmarks.tables import markdown, print_pages

from semprune.analysis import Drops, skill_drops
from semprune.analysis.guided import OF, GuidedPair, guided_pairs
from semprune.artefacts import records
from semprune.data import dataset_spec
from semprune.pruning.guidance.worded import TEXT
from semprune.report import load_run
from semprune.report.run.formats import interval, number
from semprune.report.run.labels import MethodLabels, amount_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.tables.guided import PERPLEXITY, SKILL, guided_table
from semprune.report.tables.skill import skill_table, skills
from semprune.statistics.estimate import Estimate

FAMILIES = ("sentiment", "topic", "reasoning")


def page(run: RunArtefacts) -> dict[str, str]:
    """Each table as Markdown: ``kept``, of every model; ``controls``, what is kept more than by each of them.

    What the run protects first is what is named, all else are controls; of a text, the first family that is scored.
    """
    table = guided_table(run)
    named = str(table["protected"].iloc[0])
    family = _family(named) or next(name for name in FAMILIES if name in set(table["target"]))
    found = {"kept": kept(run, family)}
    return found | ({"controls": table} if (table := controls(run, named, family)) else {})


def _family(named: str) -> str | None:
    """Of the data set that is named first; a text has none."""
    first = named.split("+")[0]
    return None if first.startswith(TEXT) else dataset_spec(first).family


def kept(run: RunArtefacts, family: str) -> str:
    """Skill kept of each family, the share of one's unguided loss that is left, and the perplexity."""
    table, rows = guided_table(run), []
    families = [name for name in dict.fromkeys((family, *FAMILIES)) if name in set(table["target"])]
    several = table["calibration"].nunique() > 1
    for about, own in table.groupby([*OF, "calibration"], sort=False):
        named = dict(zip([*OF, "calibration"], about, strict=True))
        pruned = f"{_pruned(named)}, `{named['calibration']}`" if several else _pruned(named)
        first = own[own["protected"] == own["protected"].iloc[0]]
        rows.append([pruned, "nothing", *(_of(first, name, "unguided") for name in families), "", _perplexity(first)])
        for protected, guided in own.groupby("protected", sort=False):
            each = [_of(guided, name, "guided") for name in families]
            row = _row(guided, family, SKILL)
            left = f"{number(100 * (1 - row['guided']) / (1 - row['unguided']), 0)} %"
            rows.append([pruned, str(protected), *each, left, _perplexity(guided, changed=True)])
    header = [f"{name} kept, %" for name in families]
    return markdown(["pruned", "keeping", *header, f"{family} lost, of nothing's", "perplexity"], rows)


def _row(table: pd.DataFrame, target: str, measure: str) -> dict[str, Any]:
    return records(table[(table["target"] == target) & (table["measure"] == measure)])[0]


def _of(table: pd.DataFrame, family: str, side: str) -> str:
    row = _row(table, family, SKILL)
    more = f" ({_signed(row)})" if side == "guided" else ""
    return f"{number(100 * row[side], 0)}{more}"


def _signed(row: dict[str, Any]) -> str:
    sign = "+" if row["difference"] > 0 else ""
    return f"{sign}{number(100 * row['difference'], 0)} {interval(100 * row['low'], 100 * row['high'], 0)}"


def _perplexity(table: pd.DataFrame, *, changed: bool = False) -> str:
    (row,) = records(table[table["measure"] == PERPLEXITY])
    if not changed:
        return number(row["unguided"], 1)
    sign = "+" if row["difference"] > 0 else ""
    return f"{number(row['guided'], 1)} ({sign}{number(100 * row['difference'], 1)} %)"


def controls(run: RunArtefacts, protected: str, family: str) -> str:
    """How much more of the skill what is named keeps than each control, paired by item; empty without any."""
    table = skill_table(run)
    assert table is not None
    assert run.predictions is not None
    drops = skill_drops(run.predictions, skills(table), family)
    rows = [[_pruned(own.about), control, _difference(own, drops, family)] for control, own in _pairs(drops, protected)]
    if not rows:
        return ""
    return markdown(["pruned", f"{protected} keeps more {family} than", "points of skill"], rows)


def _pairs(drops: Drops, protected: str) -> Iterator[tuple[str, GuidedPair]]:
    """Every control, and what is named in the place of guided with the control in the place of unguided.

    Controls are what else is protected; and of several calibrations the others by themselves, beside the first guided.
    """
    pairs = guided_pairs(drops.cells)
    named = [pair for pair in pairs if pair.protected == protected]
    for control in pairs:
        for own in (own for own in named if own.about == control.about):
            draws = min(len(own.guided), len(control.guided))
            if own.calibration == control.calibration and control.protected != protected:
                yield control.protected, replace(own, guided=own.guided[:draws], unguided=control.guided[:draws])
            if control.protected == protected and own.calibration == named[0].calibration != control.calibration:
                alone = f"nothing, of `{control.calibration}`"
                yield alone, replace(own, guided=own.guided[:draws], unguided=control.unguided[:draws])


def _difference(pair: GuidedPair, drops: Drops, family: str) -> str:
    saved: Estimate = pair.saved(drops, family)
    low, high = saved.interval
    return f"{number(100 * saved.value, 1)} {interval(100 * low, 100 * high, 1)}"


def _pruned(about: dict[str, Any]) -> str:
    return f"{MethodLabels().label(about['method'])} {amount_label(about['pattern'], about['sparsity'])}"


if __name__ == "__main__":
    print_pages(__doc__, lambda folder: page(load_run(folder)))
