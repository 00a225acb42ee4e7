"""Carriers and the controls of gates on the page: the figures of their tables, and what they say in words."""

import pytest

from semprune.report import load_run
from semprune.report.sections.ablation import carriers, gate_controls


@pytest.fixture(scope="module")
def run(small_run):
    return load_run(small_run)


def test_a_neuron_is_a_row_with_what_excites_it_and_what_it_carries(run):
    (table,) = carriers.SECTION.view(run, run)["carriers"]
    assert table.rows[1] == [
        "layers.22.mlp/1001", "so ‹dull› that", "' against' ' negative'", "0.010 [0.005,\u00a00.030]",
        "0.001 [−0.004,\u00a00.006]",
    ]  # fmt: skip
    assert "All together take 0.450, these 2 alone 0.030 in sum" in table.caption


def test_controls_of_gates_stand_with_what_seeds_have_in_common(run):
    view = gate_controls.SECTION.view(run, run)
    first, other = view["gate_controls"].rows[:2]
    assert first[:6] == ["its gates", "movie_reviews", "as fitted", "80", "88.0", "40.0 [35.0,\u00a045.0]"]
    assert other[2:6] == ["others", "80", "88.0", "28.0 [23.0,\u00a033.0]"]
    assert view["gate_controls"].rows[2][7] == "100\u00a0%"
    assert "the concept is carried redundantly" in view["gate_overlap"].caption


def test_both_stand_on_the_page(page):
    for part in ('id="carriers"', 'id="gate_controls"', "permuted labels"):
        assert part in page


def test_a_run_without_them_has_no_such_sections(run):
    bare = type(run)(run.folder, run.settings, {"results": run.results}, None)
    assert carriers.SECTION.view(bare, bare) is None
    assert gate_controls.SECTION.view(bare, bare) is None
