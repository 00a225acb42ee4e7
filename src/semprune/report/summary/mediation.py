"""What neurons' own activations bring back of a drop, in a sentence per data set."""

from __future__ import annotations

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.formats import listed
from semprune.report.run.load_run import RunArtefacts
from semprune.report.summary.finding import Finding
from semprune.report.tables.mediation import asked_label, neurons_label, recovered_text

PREFERRED = "gates"  # what is learned through the model speaks for a run that has it; else its first ranking
MOST_SETTINGS = 3


def mediation_findings(run: RunArtefacts) -> list[Finding]:
    """One sentence per data set, of dense activations patched into the pruned models at the run's first places."""
    if run.mediation is None:
        return []
    table = run.mediation[run.mediation["into"] == "pruned"]
    names = list(dict.fromkeys(table["ranking"]))
    ranking = PREFERRED if PREFERRED in names else names[0]
    places = ["positions", "first_layer", "last_layer"]
    own = table[(table["ranking"] == ranking) & (table[places] == table[places].iloc[0]).all(axis=1)]
    return [_finding(ranking, rows) for _, rows in own.groupby("dataset", sort=False)]


def _finding(ranking: str, rows: pd.DataFrame) -> Finding:
    clauses, clear = [], []
    for setting, own in list(rows.groupby("setting", sort=False))[:MOST_SETTINGS]:
        found = {row["neurons"]: row for row in records(own)}
        if pd.isna(found["chosen"]["recovered"]):
            clauses.append(f"nothing with {setting}, where nothing was clearly lost")
            continue
        clear.append(found["chosen"]["recovered_low"] > found["matched"]["recovered_high"])
        chosen, matched, others = (recovered_text(found[name]) for name in ("chosen", "matched", "others"))
        clauses.append(
            f"{chosen} of what it lost with {setting} (as many matched neurons {matched}, all others {others})"
        )
    first = records(rows[rows["neurons"] == "chosen"])[0]
    asked, chosen = asked_label(first), neurons_label(first)
    text = f"on {asked}, the dense activations of the {chosen} neurons by {ranking} bring back {listed(clauses)}."
    return Finding("Which neurons explain it:", text, "holds" if clear and all(clear) else "unclear")
