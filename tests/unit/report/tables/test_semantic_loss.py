"""The losses that a study measures on request, on the page and as files."""

import numpy as np
import pandas as pd
import pytest

from semprune.report import load_run, write_report, write_tables
from semprune.report.tables.semantic_loss import causal_text, readout_text


def test_readout_losses_are_in_points_largest_first(run_dir):
    table = readout_text(load_run(run_dir))
    stored = pd.read_parquet(run_dir / "readout_loss.parquet")
    largest = stored.groupby("concept")["loss_frozen"].max().sort_values(ascending=False)
    assert list(dict.fromkeys(row[0] for row in table.rows)) == list(largest.index)
    assert len(table.rows) == len(stored)
    first = table.rows[0]
    assert first[:4] == [largest.index[0], "Magnitude 50 %", "0.5", "0.42"]
    assert first[4:] == ["8.0", "[7.0,\u00a09.0]", "4.0", "[3.0,\u00a05.0]", "4.0", "[3.0,\u00a05.0]", "600"]


def test_causal_losses_are_in_nats_with_the_neurons_of_most_change(run_dir):
    table = causal_text(load_run(run_dir))
    assert table.header[-1] == "most through"
    first = table.rows[0]
    assert first[1:-1] == ["Magnitude 50 %", "0.08", "[0.079,\u00a00.081]", "0.02", "[0.000,\u00a00.040]", "1,234"]
    assert first[-1] == "layers.1.mlp/4 (0.032), layers.1.mlp/3 (−0.024), layers.1.mlp/2 (0.016)"


def test_a_concept_that_does_not_occur_has_no_row(edit):
    run = load_run(edit("readout_loss", lambda t: t.assign(loss_frozen=t["loss_frozen"].where(t["concept"] != "x"))))
    everything = len(readout_text(run).rows)
    concept = run.readout_loss["concept"].iloc[0]
    absent = edit("readout_loss", lambda t: t.assign(loss_frozen=np.where(t["concept"] == concept, np.nan, 0.1)))
    assert len(readout_text(load_run(absent)).rows) == everything - 2


def test_they_are_on_the_page_and_in_the_files_where_they_were_measured(run_dir):
    page = write_report(run_dir).read_text(encoding="utf-8")
    assert "Gone, or moved? The readout loss" in page
    assert "Does the change matter to the model? The causal loss" in page
    names = {path.name for path in write_tables(run_dir)}
    assert {"readout_loss.csv", "readout_loss.md", "causal_loss.tex"} <= names


@pytest.mark.parametrize("name", ["readout_loss", "causal_loss"])
def test_one_that_was_not_asked_for_is_not_spoken_of(run_dir, name):
    (run_dir / f"{name}.parquet").unlink()
    page = write_report(run_dir).read_text(encoding="utf-8")
    assert f'id="{name.replace("_", "-")}-caption"' not in page
    assert name not in page
    assert f"{name}.md" not in {path.name for path in write_tables(run_dir)}
