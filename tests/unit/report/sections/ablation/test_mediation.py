"""Mediation on the page: a lane per pruned model, the share with its interval, words where nothing was lost."""

from dataclasses import replace

import pytest

from semprune.report import load_run
from semprune.report.sections.ablation.mediation import mediation_views
from semprune.report.summary.mediation import mediation_findings


@pytest.fixture(scope="module")
def run(small_run):
    return load_run(small_run)


def test_a_row_per_set_of_neurons_and_a_mark_per_model_that_lost_something(run):
    (view,), _ = mediation_views(run)
    assert view.title == "movie_reviews, patched everywhere, layers 0 to 29"
    back, taken = view.charts
    assert back.axis_label == "Brought back, %"
    assert taken.axis_label == "Taken away, %"
    assert [setting.label for setting in back.legend] == ["Magnitude 50 %", "Wanda 50 %"]
    labels = [(row.label, row.note) for row in back.rows]
    assert labels[3:] == [
        ("First 460", "by gates"),
        ("460 matched, 3 draws", "by gates"),
        ("All other 45,620", "by gates"),
    ]
    for row in back.rows:
        assert row.texts[0] == "nothing lost"
        (mark,) = [mark for _, mark in row.marks]
        assert mark.hue == back.legend[1].hue
    first = back.rows[3]
    assert first.texts[1] == "85 % [80,\u00a090]"
    assert first.marks[0][1].x == back.axis.percent(85)
    assert back.reference == back.axis.percent(100)


def test_the_class_that_is_told_and_the_wording_are_named(run):
    named = run.mediation.assign(label="positive", prompt="question")
    asked = replace(run, tables={**run.tables, "mediation": named})
    (view,), table = mediation_views(asked)
    assert view.title == "movie_reviews.positive, asked as question, patched everywhere, layers 0 to 29"
    assert {row[0] for row in table.rows} == {"movie_reviews.positive, asked as question"}
    (finding,) = mediation_findings(asked)
    assert finding.text.startswith("on movie_reviews.positive, asked as question, the dense activations")


def test_the_table_has_both_models_as_they_are_and_every_set(run):
    _, table = mediation_views(run)
    assert len(table.rows) == 2 * (1 + 2 * 3)
    wanda = [row[3:] for row in table.rows if row[1] == "Wanda 50 %"]
    assert wanda[0] == ["", "none", "0.776", "", "0.919", ""]
    assert wanda[4] == ["gates", "first 460", "0.898", "85 % [80,\u00a090]", "0.898", "85 % [80,\u00a090]"]


def test_the_finding_speaks_of_gates_and_of_what_was_lost(run):
    (finding,) = mediation_findings(run)
    assert finding.verdict == "holds"
    assert str(finding) == (
        "Which neurons explain it: on movie_reviews, the dense activations of the first 460 neurons by gates bring "
        "back nothing with Magnitude 50 %, where nothing was clearly lost and 85 % [80,\u00a090] of what it lost with "
        "Wanda 50 % (as many matched neurons 2 % [−3,\u00a07], all others 10 % [5,\u00a015])."
    )


def test_both_stand_on_the_page_and_among_the_exported_tables(page, built_run):
    for part in ('id="frontier"', 'id="mediation"', "<polygon", "<polyline", "nothing lost"):
        assert part in page
