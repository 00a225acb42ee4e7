"""The plot of losses against cost: where its marks lie, what is drawn in which order, and what the tables say."""

import pytest

from semprune.report import load_run
from semprune.report.run.load_run import RunArtefacts
from semprune.report.sections.ablation.frontier import frontier_views


@pytest.fixture(scope="module")
def view(small_run):
    (only,) = frontier_views(load_run(small_run))
    return only


def test_controls_lie_behind_rankings_and_only_the_matched_have_a_band(view):
    (chart,) = view.charts
    names = [curve.unbroken for curve in chart.curves]
    assert names == ["Matched random neurons", "Causal gates", "The association's top neurons"]
    assert [bool(curve.band) for curve in chart.curves] == [True, False, False]
    assert len({(curve.hue, curve.shape) for curve in chart.curves}) == 3


def test_marks_are_at_cost_and_loss(view):
    (chart,) = view.charts
    curves = {curve.unbroken: curve for curve in chart.curves}
    gates, matched = curves["Causal gates"].points, curves["Matched random neurons"].points
    assert [x for x, _ in gates] == [chart.across.percent(cost) for cost in (0.004, 0.03, 0.08)]
    assert [y for _, y in gates] == sorted((y for _, y in gates), reverse=True)  # pixels from the top: loss grows
    assert gates[2][1] == min(y for curve in chart.curves for _, y in curve.points)
    assert matched[0][1] == next(y for y, text, _ in chart.ticks if text == "0")
    assert len(curves["Causal gates"].line.split()) == 3
    assert len(curves["Matched random neurons"].band.split()) == 6


def test_tables_say_what_is_not_reached_and_give_every_size(view):
    by_set = {row[1]: row for row in view.doses.rows}
    assert view.doses.header[2:] == ["at 0.01 nats", "at 0.1 nats"]
    assert by_set["matched_random"][3] == "not reached (< 0.05)"
    assert by_set["association"][3] == "10.0 [8.0,\u00a012.0], 0.5 %"
    assert view.points.header == ["neurons", "set", "AUROC lost", "KL, text", "log-perplexity, text"]
    assert view.points.rows[0][:4] == ["46", "gates", "20.0 [19.0,\u00a021.0]", "0.004 [−0.006,\u00a00.014]"]


def test_a_run_without_a_frontier_has_no_section(small_run):
    run = load_run(small_run)
    without = {name: table for name, table in run.tables.items() if not name.startswith("frontier")}
    assert frontier_views(RunArtefacts(run.folder, run.settings, without, None)) == []
