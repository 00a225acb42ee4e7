"""Several wordings of a data set: their mean and spread in the page and the tables."""

import pandas as pd
import pytest

from semprune.report import load_run, write_report, write_tables
from semprune.report.tables.prompts import prompt_table


@pytest.fixture
def worded(run_dir):
    """The run with sst2 asked with two more wordings, one 10 points better and one 20 points worse when pruned."""
    path = run_dir / "results.parquet"
    table = pd.read_parquet(path)
    parts = [table]
    for name, more in (("plain", 0.10), ("odd", -0.20)):
        copy = table[table["dataset"] == "sst2"].assign(prompt=name)
        pruned = copy["method"] != "dense"
        for column in ("value", "difference", "difference_low", "difference_high"):
            copy[column] = copy[column] + more * pruned
        parts.append(copy)
    pd.concat(parts, ignore_index=True).to_parquet(path)
    return run_dir


def test_the_spread_is_over_wordings(worded):
    run = load_run(worded)
    table = prompt_table(run)
    assert set(table["dataset"]) == {"sst2"}
    own = run.results[(run.results["dataset"] == "sst2") & (run.results["metric"] == "auroc")]
    for _, row in table.iterrows():
        drops = -own.loc[own["setting"] == row["setting"]].set_index("prompt")["difference"]
        assert row["prompts"] == 3
        assert row["damage"] == pytest.approx(drops.mean())
        assert row["damage"] == pytest.approx(drops["default"] + 0.10 / 3)
        assert row["sd"] == pytest.approx(drops.std(ddof=1))
        assert (row["lowest_prompt"], row["highest_prompt"]) == ("plain", "odd")
        assert row["highest"] - row["lowest"] == pytest.approx(0.30)


def test_the_page_and_the_tables_have_it_only_where_there_are_several(worded, small_run):
    names = {path.name for path in write_tables(worded)}
    assert {"prompts.csv", "prompts.md", "prompts.tex"} <= names
    assert "How much hangs on the wording" in write_report(worded).read_text(encoding="utf-8")
    assert prompt_table(load_run(small_run)).empty
    assert "How much hangs on the wording" not in write_report(small_run).read_text(encoding="utf-8")
