"""What was published of gates of several concepts, and of words that prunings keep, is computed again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks import gates_concepts_page, protecting_words_page

DOCS = Path(__file__).parents[2] / "docs"
CONCEPTS = sorted(path.parent for path in (DOCS / "studies" / "gates-concepts").glob("*/items.parquet"))
WORDS = sorted(path.parent for path in (DOCS / "studies" / "protect-words").glob("*/words.parquet"))


@pytest.mark.parametrize("folder", CONCEPTS, ids=lambda path: path.name)
def test_a_lost_share_is_that_of_another_library(folder):
    items = pd.read_parquet(folder / "items.parquet")
    asked = items[(items["dataset"] == "trec") & (items["wording"] == "fitted")]

    def auroc(selection: str) -> float:
        own = asked[(asked["selection"] == selection) & asked["concept"].isin(["", "trec.number"])]
        return float(np.mean([roc_auc_score(rows["label"], rows["log_odds"]) for _, rows in own.groupby("seed")]))

    measured = gates_concepts_page.Measured(folder)
    want = (auroc("dense") - auroc("gates")) / (auroc("dense") - 0.5)
    assert measured.lost("gates", "trec.number", "trec.number").value == pytest.approx(want)


@pytest.mark.parametrize("folder", WORDS, ids=lambda path: path.name)
def test_a_kept_share_is_a_ratio_of_means(folder):
    words = pd.read_parquet(folder / "words.parquet")
    own = words[words["words"] == "language.negation"]
    pruned = own[(own["method"] == "wanda") & (own["protected"] == "language.negation")]
    want = pruned.groupby("seed")["own"].mean().mean() / own[own["method"] == "dense"]["own"].mean()
    measured = protecting_words_page.Measured(folder)
    assert measured.kept("wanda", "language.negation", "language.negation").value == pytest.approx(want)
