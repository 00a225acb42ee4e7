"""Runs of many pruned models: means per method and amount, and a terminal table that can be read."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from semprune.report import load_run, terminal_table, write_report
from semprune.report.run.load_run import is_crowded, pooled


@pytest.fixture
def crowded(run_dir):
    """The run with Wanda measured with 30 calibration sets, each a point worse than the one before."""
    for name in ("results", "sparsity", "semantic_loss", "neuron_activations", "word_activations"):
        path = run_dir / f"{name}.parquet"
        table = pd.read_parquet(path)
        wanda = table[table["method"] == "wanda"]
        copies = [table[table["method"] != "wanda"]]
        for place in range(30):
            copy = wanda.assign(calibration=f"set{place:02}")
            if name == "results":
                scored = copy["metric"] != "perplexity"
                for column in ("value", "difference", "difference_low", "difference_high"):
                    copy[column] = copy[column] - 0.01 * place * scored
            copies.append(copy)
        pd.concat(copies, ignore_index=True).to_parquet(path)
    return run_dir


def test_pooling_averages_models_of_one_method_and_amount(crowded):
    run = load_run(crowded)
    assert is_crowded(run)
    few = pooled(run)
    assert [setting.label for setting in few.settings] == ["Magnitude 50 %", "Wanda 50 %"]
    assert not is_crowded(few)
    for _, rows in few.results.groupby(["dataset", "metric"]):
        wanda = rows[rows["method"] == "wanda"].iloc[0]
        every = run.results[(run.results["method"] == "wanda") & (run.results["dataset"] == wanda["dataset"])]
        own = every[every["metric"] == wanda["metric"]]
        assert len(own) == 30
        for column in ("value", "difference", "difference_low", "difference_high", "dense"):
            assert wanda[column] == pytest.approx(own[column].mean()), column
    accuracy = few.results[(few.results["dataset"] == "sst2") & (few.results["metric"] == "accuracy")]
    wanda = accuracy[accuracy["method"] == "wanda"].iloc[0]
    error = (wanda["difference_high"] - wanda["difference_low"]) / 3.919928
    assert wanda["p"] == pytest.approx(2 * (1 - normal(abs(wanda["difference"]) / error)), abs=1e-6)
    assert set(few.results.loc[few.results["method"] == "dense", "setting"]) == {"dense"}
    loss = few.semantic_loss
    assert len(loss[loss["method"] == "wanda"]) == len(loss[loss["method"] == "magnitude"])


def normal(z):
    """Distribution function of the normal, from its series."""
    steps = np.linspace(-8, z, 200_001)
    return float(np.trapezoid(np.exp(-np.square(steps) / 2), steps) / np.sqrt(2 * np.pi))


def test_the_terminal_s_table_of_many_has_a_row_per_method_and_amount(crowded):
    run, buffer = load_run(crowded), io.StringIO()
    Console(file=buffer, width=80).print(terminal_table(run))
    text = buffer.getvalue()
    assert "…" not in text
    assert "Wanda 50 %" in text
    assert "means of 31 pruned models" in " ".join(text.split())
    assert sum("Wanda" in line for line in text.splitlines()) == 1


def test_the_page_of_a_crowded_run_shows_means_and_says_so(crowded):
    page = write_report(crowded).read_text(encoding="utf-8")
    assert "The run holds 31 pruned models." in page
    assert "Wanda\u00a050\u00a0%</td>" in page
    assert "set07" not in page.split('id="tasks"')[1]  # only the subtitle names the calibration sets


def test_guided_prunings_are_in_no_mean_and_the_page_says_so(crowded):
    for path in crowded.glob("*.parquet"):
        table = pd.read_parquet(path)
        if "calibration" in table.columns:
            late = table["calibration"].isin([f"set{place:02}" for place in range(15, 30)])
            renamed = "set00 keeping " + table["calibration"]
            table.assign(calibration=table["calibration"].mask(late, renamed)).to_parquet(path, index=False)
    run = load_run(crowded)
    few = pooled(run).results
    for _, rows in few[few["method"] == "wanda"].groupby(["dataset", "metric"]):
        own = run.results.merge(rows[["method", "dataset", "metric"]])
        alone = own[~own["calibration"].str.contains("keeping")]
        assert len(alone) == 15
        assert rows["value"].item() == pytest.approx(alone["value"].mean())
    page = write_report(crowded).read_text(encoding="utf-8")
    assert "one for each method and amount, without those that protect something" in page
    buffer = io.StringIO()
    Console(file=buffer, width=80).print(terminal_table(run))
    assert "means of 16 pruned models that protect nothing" in " ".join(buffer.getvalue().split())
