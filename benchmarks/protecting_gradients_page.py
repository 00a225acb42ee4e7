"""What guiding keeps beside weights that stay for their gradients, of what `benchmarks.protecting_gradients` measured.

python -m benchmarks.protecting_gradients_page docs/studies/protect-gradients/smollm2-135m

Intervals are paired by document, and over draws of the calibration.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.protecting_gradients import SETS
from benchmarks.tables import markdown, print_pages

from semprune.report.run.formats import interval, number
from semprune.statistics.auroc import auroc_values
from semprune.statistics.estimate import Estimate, crossed_mean
from semprune.statistics.weighting import Array

LABELS = {"nothing": "Wanda", "gradients": "Wanda and gradients of the answers", "guided": "Wanda, guided"}


def page(folder: Path) -> dict[str, str]:
    """The table as Markdown: ``kept``."""
    table = pd.read_parquet(folder / "items.parquet")
    dense, documents = values(table, "dense")
    each = {name: values(table, name)[0] for name in SETS}
    rows = [["nothing (dense)", number(float(dense.mean()), 3), "", "", number(_perplexity(table, "dense"), 1)]]
    for name, own in each.items():
        more = "" if name == "guided" else _of(crossed_mean(each["guided"] - own, documents))
        lost = _of(crossed_mean(dense - own, documents))
        area = number(float(own.mean()), 3)
        rows.append([LABELS[name], area, lost, more, number(_perplexity(table, name), 1)])
    return {"kept": markdown(["pruned to 50 %", "AUROC, mean", "lost", "guided keeps more", "perplexity"], rows)}


def values(table: pd.DataFrame, pruned: str) -> tuple[Array, list[str]]:
    """Values of the items, of each draw, whose mean is that of the data sets' AUROC; and their documents."""
    parts, documents = [], []
    for dataset, rows in table[table["pruned"] == pruned].groupby("dataset"):
        draws = [own for _, own in rows.groupby("draw")]
        odds = np.stack([own["log_odds"].to_numpy() for own in draws])
        first = draws[0]
        parts.append(auroc_values(np.stack([np.zeros_like(odds), odds], axis=-1), first["label"].to_numpy()))
        documents += [f"{dataset} {document}" for document in first["document"]]
    scale = [np.full(part.shape[1], len(documents) / len(parts) / part.shape[1]) for part in parts]
    return np.concatenate(parts, axis=1) * np.concatenate(scale), documents


def _of(estimate: Estimate) -> str:
    return f"{number(estimate.value, 3)} {interval(*estimate.interval, 3)}"


def _perplexity(table: pd.DataFrame, pruned: str) -> float:
    return float(table[table["pruned"] == pruned].groupby("draw")["perplexity"].first().mean())


if __name__ == "__main__":
    print_pages(__doc__, page)
