"""What patched gates bring back of what pruning cost a task, from what `benchmarks.gates_mediation` measured.

python -m benchmarks.gates_mediation_page docs/studies/gates-mediation/smollm2-135m

Intervals are paired by document, and over draws where neurons are drawn.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from benchmarks.gates_mediation import METHODS
from benchmarks.tables import markdown, print_pages

from semprune.artefacts import records
from semprune.attribution.association.score import GATES
from semprune.report.run.labels import MethodLabels
from semprune.report.tables.mediation import recovered_text

KINDS = {"one": "one wording", "several": "four wordings"}


def page(folder: Path) -> dict[str, str]:
    """Each table as Markdown: ``seeds``, of all gates; ``others``, of what stands beside the mean over seeds."""
    table = pd.read_parquet(folder / "mediation.parquet")
    return {"seeds": seeds(table), "others": others(table)}


def seeds(table: pd.DataFrame) -> str:
    """Share of the lost AUROC that each set of gates brings back in each pruned model; empty where not measured."""
    rows = []
    for name in table["ranking"].unique():
        rows.append([_label(name), *(_back(table, method, data, name, "chosen") for method, data in _models(table))])
    first = "gates of" if _has_seeds(table) else "first by"
    return markdown([first, *(f"{MethodLabels().label(method)}, {data}" for method, data in _models(table))], rows)


def others(table: pd.DataFrame) -> str:
    """The models, and what matched neurons and all others bring back beside the first mean over seeds, or gates."""
    name, rows = next(each for each in table["ranking"].unique() if each.endswith("mean") or each == GATES), []
    for method, data in _models(table):
        own = _rows(table, method, data, name)
        first = records(own)[0]
        lost = f"{first['dense']:.3f} → {first['pruned']:.3f}"
        rows.append([
            MethodLabels().label(method), data, lost,
            *(_back(table, method, data, name, neurons) for neurons in ("chosen", "matched", "others")),
        ])  # fmt: skip
    header = [
        "pruned to 50 %",
        "data set",
        "AUROC, dense → pruned",
        f"gates of {_label(name)}" if _has_seeds(table) else name,
    ]
    return markdown([*header, "matched to them", "all but the gates"], rows)


def _models(table: pd.DataFrame) -> list[tuple[str, str]]:
    return [(method, data) for method in METHODS for data in table["dataset"].unique()]


def _rows(table: pd.DataFrame, method: str, data: str, name: str) -> pd.DataFrame:
    return table[(table["method"] == method) & (table["dataset"] == data) & (table["ranking"] == name)]


def _back(table: pd.DataFrame, method: str, data: str, name: str, neurons: str) -> str:
    own = _rows(table, method, data, name)
    return "".join(recovered_text(row) for row in records(own[own["neurons"] == neurons]))


def _has_seeds(table: pd.DataFrame) -> bool:
    """Whether gates are of several seeds; those of `semprune mediate` are of the fit's."""
    return GATES not in set(table["ranking"])


def _label(name: str) -> str:
    if " " not in name:
        return name
    kind, seed = name.split()
    return f"{KINDS.get(kind, kind)}, {'mean over seeds' if seed == 'mean' else f'seed {seed}'}"


if __name__ == "__main__":
    print_pages(__doc__, page)
