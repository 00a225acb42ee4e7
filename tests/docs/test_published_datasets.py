"""What the page says of 24 data sets is what the published answers say: shares are computed again."""

from pathlib import Path

import pandas as pd
import pytest

from semprune.data import dataset_spec
from semprune.evaluation.results.retained import retained_table

DOCS = Path(__file__).parents[2] / "docs"
RUNS = sorted(path.parent for path in (DOCS / "studies" / "datasets").glob("*/results.parquet"))


@pytest.mark.parametrize("folder", RUNS, ids=lambda path: path.name)
def test_shares_of_skill_are_those_of_the_published_answers(folder):
    answers, screening = (pd.read_parquet(folder / f"{name}.parquet") for name in ("predictions", "screening"))
    published = pd.read_parquet(folder / "retained.parquet")
    counted = set(screening.loc[screening["chosen"] & screening["admitted"], "dataset"])
    specs = {name: dataset_spec(name) for name in answers["dataset"].unique()}
    dense = answers[answers["method"] == "dense"]
    for method, own in answers[answers["method"] != "dense"].groupby("method"):
        found = retained_table(
            dense, own, families={name: spec.family for name, spec in specs.items()},
            metrics={name: spec.metrics for name, spec in specs.items()}, admitted=counted,
        )  # fmt: skip
        there = published[published["method"] == method]
        both = found.merge(there, on=["family", "dataset", "prompt"], suffixes=("", "_published"))
        assert len(both) == len(found) == len(there)
        for column in ("retained", "low", "high", "dense", "pruned"):
            pd.testing.assert_series_equal(both[column], both[f"{column}_published"], check_names=False, rtol=1e-9)


def test_topic_without_spam_is_what_the_page_says():
    """A gain of the pruned model on a data set that the dense one hardly does makes the family's pooled share."""
    table = pd.read_csv(DOCS / "studies/datasets/gemma-3-270m/tables/skill.csv")
    own = table[table["dataset"].isin(["bbc_news", "trec"])].groupby("method")
    kept = own.apply(lambda rows: round(100 * (rows["pruned"] - 0.5).sum() / (rows["dense"] - 0.5).sum()))
    shares = [str(kept[method]) for method in ("magnitude", "wanda", "ria", "sparsegpt")]
    page_text = " ".join((DOCS / "results.md").read_text(encoding="utf-8").split())
    assert f"topic keeps {', '.join(shares[:3])} and {shares[3]} %" in page_text
