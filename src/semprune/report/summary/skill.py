"""What a model can no longer do, in plain sentences: the share of its skill that it keeps."""

from __future__ import annotations

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.formats import listed
from semprune.report.run.labels import Setting, family_label
from semprune.report.run.load_run import RunArtefacts, is_crowded, pooled
from semprune.report.summary.finding import Finding
from semprune.report.tables.skill import EXPLAINED, guessed, kept, skill_table

MOST_SETTINGS = 4  # with more than these, one sentence per setting says less than one per family


def skill_findings(run: RunArtefacts) -> list[Finding]:
    """One sentence per pruned model, or per family where there are many; none for a run without the table."""
    table = skill_table(run)
    if table is None:
        return []
    if len(run.settings) > MOST_SETTINGS:
        return [_range(str(family), rows) for family, rows in _families(table).groupby("family", sort=False)]
    each = [_setting(setting, table[table["setting"] == setting.label]) for setting in run.settings]
    return [finding for finding in each if finding is not None]


def plain_sentences(run: RunArtefacts) -> list[str]:
    """What stands above the table in the terminal, for readers who know no statistics; empty for older runs."""
    shown = pooled(run) if is_crowded(run) else run
    found = [str(finding) for finding in skill_findings(shown)]
    return [EXPLAINED, *found] if found else []


def _families(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["dataset"] == "") & table["low"].notna()]


def _setting(setting: Setting, rows: pd.DataFrame) -> Finding | None:
    own = _families(rows).sort_values("retained", kind="stable")
    unknown = [family for family in dict.fromkeys(rows["family"]) if family not in set(own["family"])]
    if own.empty:
        return None
    first, *rest = [(kept(row), family_label(row["family"]).lower()) for row in records(own)]
    shares = [
        f"{first[0]} of the dense model's skill in {first[1]}",
        *(f"{share} in {family}" for share, family in rest),
    ]
    text = f"keeps {listed(shares)}"
    if none := guessed(rows):
        text += f"; on {none} it is no longer clearly better than guessing"
    if unknown:
        named = listed([family_label(family).lower() for family in unknown])
        text += f"; what it keeps in {named} cannot be told, as the dense model has no clear skill there"
    verdicts = set(own["verdict"])
    verdict = next(name for name in ("worse", "better", "unclear") if name in verdicts)
    return Finding(setting.phrase, f"{text}.", verdict)


def _range(family: str, rows: pd.DataFrame) -> Finding:
    """Under how many settings a family clearly loses skill, and the mildest and the harshest setting."""
    clear = int((rows["verdict"] == "worse").sum())
    ordered = records(rows.sort_values("retained", ascending=False, kind="stable"))
    ends = [f"{kept(row)} with {row['setting']}" for row in (ordered[0], ordered[-1])]
    text = f"clearly loses skill under {clear} of {len(rows)} settings; what is kept goes from {ends[0]} to {ends[1]}."
    return Finding(family_label(family), text, "worse" if clear else "unclear")
