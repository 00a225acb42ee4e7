"""Which models of two runs go together, and what the runs were told differently."""

import json

import pandas as pd
import pytest
from tests.unit.report.comparison.conftest import SETTINGS, answers

from semprune.errors import NothingInCommonError, SettingError
from semprune.report import load_run
from semprune.report.comparison.page import Comparison
from semprune.report.comparison.pairs import differing_settings, pair_settings


@pytest.fixture(scope="module")
def grid(make_run):
    """Two runs: magnitude and Wanda at 50 %, and Wanda at 50 and 60 %."""
    made = answers(0.7, 3)
    first = make_run("first", {"magnitude": made, "wanda": made})
    return [load_run(first), load_run(make_run("second", {"wanda": made, ("wanda", 0.6): made}))]


def labels(pairs):
    return [(pair.label, pair.first.label, pair.second.label) for pair in pairs]


def test_models_pruned_alike_go_together(grid):
    assert labels(pair_settings(*grid)) == [("Wanda 50 %", "Wanda 50 %", "Wanda 50 %")]


def test_the_two_can_be_named(grid):
    pairs = pair_settings(*grid, "Magnitude 50 %", "Wanda 60 %")
    assert labels(pairs) == [("Magnitude 50 % → Wanda 60 %", "Magnitude 50 %", "Wanda 60 %")]


@pytest.mark.parametrize(
    ("named", "said"),
    [(("Wanda", "Wanda 50 %"), "model_a must be a pruned model of .*: Magnitude 50 %, Wanda 50 %, got 'Wanda'"),
     (("Wanda 50 %", None), "model_b must be a pruned model of .*: Wanda 50 %, Wanda 60 %, got None")],
)  # fmt: skip
def test_an_unknown_label_lists_the_known_ones(grid, named, said):
    with pytest.raises(SettingError, match=said):
        pair_settings(*grid, *named)


def test_of_the_same_amount_where_the_calibration_differs(grid, own_runs, runs):
    for name in ("results", "predictions"):
        path = own_runs[1] / f"{name}.parquet"
        table = pd.read_parquet(path)
        table.loc[table["calibration"] == "c4", "calibration"] = "wiki"
        table.to_parquet(path)
    assert len(pair_settings(load_run(runs[0]), load_run(own_runs[1]))) == 1


def test_a_model_without_calibration_is_one_however_often_it_is_stated(own_runs):
    for run in own_runs:
        for name in ("results", "predictions"):
            path = run / f"{name}.parquet"
            table = pd.read_parquet(path)
            free = table[table["method"] == "wanda"].assign(method="magnitude", calibrated=False)
            pd.concat([table, free, free.assign(calibration="wiki")]).to_parquet(path)
    compared = Comparison.read(*own_runs)
    assert [pair.first.label for pair in compared.pairs] == ["Magnitude 50 % · c4", "Wanda 50 % · c4"]
    scores = [[row for row in compared.rows[pair.label] if row.kind == "points"] for pair in compared.pairs]
    assert [row.difference for row in scores[0]] == [row.difference for row in scores[1]]
    assert all(row.n for row in scores[0])


def test_one_model_each_needs_no_name(make_run, runs):
    other = make_run("ria", {"ria": answers(0.7, 3)})
    assert labels(pair_settings(load_run(runs[0]), load_run(other)))[0][0] == "Wanda 50 % → RIA 50 %"


def test_without_anything_alike_the_names_are_asked_for(grid, make_run):
    other = load_run(make_run("ria", {"ria": answers(0.7, 3)}))
    with pytest.raises(NothingInCommonError, match='--model_a "Magnitude 50 %" --model_b "RIA 50 %"'):
        pair_settings(grid[0], other)


def test_differing_settings_are_named_and_places_are_not(own_runs):
    path = own_runs[1] / "provenance.json"
    changed = json.loads(path.read_text())
    changed["settings"] = {**SETTINGS, "fit": {"limit": 18}, "output": "there", "protect": ["sentiment"]}
    changed["backbone"]["name"] = "other"
    path.write_text(json.dumps(changed))
    found = differing_settings(*map(load_run, own_runs))
    assert found == [("backbone.name", "tiny", "other"), ("fit.limit", "9", "18"), ("protect", "–", "sentiment")]


def test_a_run_that_says_nothing_of_itself_differs_in_nothing_known(own_runs):
    (own_runs[0] / "provenance.json").unlink()
    assert differing_settings(*map(load_run, own_runs)) == []
