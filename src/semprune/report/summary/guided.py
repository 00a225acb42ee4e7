"""What guided prunings keep, in a sentence for each thing that is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from semprune.analysis.guided import OF
from semprune.artefacts import records
from semprune.report.run.formats import listed, number
from semprune.report.run.labels import MethodLabels, amount_label, family_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.summary.finding import Finding
from semprune.report.tables.guided import PERPLEXITY, SKILL, changed, guided_table

CONTROL, NOTHING_NAMED = "@", "general"
MOST_MODELS = 4


def guided_findings(run: RunArtefacts) -> list[Finding]:
    """One sentence for each thing that is named; controls are read in their section.

    It is of the family that is named, and where a data set or words are, of the family that gains most.
    """
    table = guided_table(run)
    if table.empty:
        return []
    named = [name for name in table["protected"].unique() if CONTROL not in name and name != NOTHING_NAMED]
    found = [_finding(name, table[table["protected"] == name], run.methods) for name in named]
    return [each for each in found if each is not None]


def _finding(name: str, table: pd.DataFrame, labels: MethodLabels) -> Finding | None:
    skill = table[table["measure"] == SKILL]
    if skill.empty:
        return None
    gains = skill.groupby("target", sort=False)["difference"].mean()
    family = next((each for each in gains.index if name.partition("*")[0] == each), gains.idxmax())
    own = skill[skill["target"] == family]
    clauses = [_clause(row, table, labels) for row in records(own.head(MOST_MODELS))]
    rest = f", and so on for {len(own) - MOST_MODELS} more" if len(own) > MOST_MODELS else ""
    verdict = "better" if (own["low"] > 0).all() else "worse" if (own["high"] < 0).all() else "unclear"
    text = f"of {family_label(str(family)).lower()}, guided pruning keeps {listed(clauses)}{rest}."
    return Finding(f"Keeping {name}:", text, verdict)


def _clause(row: Mapping[str, Any], table: pd.DataFrame, labels: MethodLabels) -> str:
    """Of one method and amount: what is kept with and without, and what it costs in perplexity."""
    same = (table[[*OF, "calibration"]] == [row[column] for column in [*OF, "calibration"]]).all(axis=1)
    prices = [changed(each) for each in records(table[same & (table["measure"] == PERPLEXITY)])]
    guided, unguided = (f"{number(100 * row[each], 0)}\u00a0%" for each in ("guided", "unguided"))
    setting = f"{labels.label(row['method'])} {amount_label(row['pattern'], row['sparsity'])}"
    at = f"; perplexity {listed(prices)}" if prices else ""
    return f"{guided} instead of {unguided} with {setting} ({changed(row)} points{at})"
