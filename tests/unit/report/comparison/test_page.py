"""The comparison as people see it: in 80 columns, and as a page that obeys nothing."""

import io
import re

import pytest

from semprune.cli.__main__ import main
from semprune.io.terminal import Terminal
from semprune.report.comparison.page import Comparison, write_comparison
from semprune.report.comparison.tables import comparison_table, sentences


@pytest.fixture(scope="module")
def compared(runs):
    return Comparison.read(*runs)


def shown(compared, width=80):
    out = io.StringIO()
    Terminal(file=out, width=width).print(comparison_table(compared.rows))
    return out.getvalue()


def test_everything_stands_in_80_columns(compared):
    text = shown(compared)
    assert max(map(len, text.splitlines())) <= 80
    for row in compared.rows["Wanda 50 %"]:
        assert row.metric.interval(*row.difference[1:]) in text or row.difference[1] != row.difference[1]


def test_many_pairs_show_the_families_alone(compared):
    rows = compared.rows["Wanda 50 %"]
    out = io.StringIO()
    Terminal(file=out, width=80).print(comparison_table({str(place): rows for place in range(5)}))
    assert "Sentiment, pooled" in out.getvalue()
    assert "piqa" in out.getvalue()  # all that its family has
    assert not any(word in out.getvalue() for word in ("sst2", "flips", "Score"))


def test_many_pairs_without_skill_show_scores(compared):
    rows = [row for row in compared.rows["Wanda 50 %"] if row.kind != "skill"]
    out = io.StringIO()
    Terminal(file=out, width=80).print(comparison_table({str(place): rows for place in range(5)}))
    assert "sst2, AUROC" in out.getvalue()
    assert "flips" not in out.getvalue()


def test_a_sentence_says_what_is_clear_and_what_is_not(compared):
    (said,) = sentences(compared.rows)
    assert said.startswith("Wanda 50 %: B keeps ")
    assert re.search(r"\d+\s% \[\d+,\s\d+\] more of the dense model's skill in sentiment", said)


def test_the_page_has_every_figure_and_no_markup_of_others(own_runs):
    path = own_runs[1] / "provenance.json"
    path.write_text(path.read_text().replace('"tiny"', '"<script>window.hacked = true</script>"'))
    compared = Comparison.read(*own_runs)
    page = write_comparison(compared, own_runs[1] / "comparison.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;window.hacked" in page
    assert "<h1>bb against a</h1>" in page
    for row in compared.rows["Wanda 50 %"]:
        assert row.metric.number(row.second[0]) in page


def test_the_command_writes_beside_the_second_run(own_runs, capsys):
    assert main(["compare", *map(str, own_runs)]) == 0
    said = capsys.readouterr().out
    assert f"comparison: {own_runs[1] / 'comparison.html'}" in said.replace("\n", "")
    assert (own_runs[1] / "comparison.html").read_text().startswith("<!doctype html>")
    assert main(["compare", *map(str, own_runs)]) == 0
    assert "in the place of a page that was there" in " ".join(capsys.readouterr().out.split())


def test_nothing_but_a_page_is_written_over(own_runs, capsys):
    table = own_runs[1] / "results.parquet"
    before = table.read_bytes()
    assert main(["compare", *map(str, own_runs), "--output", str(table)]) == 2
    assert "output must be a page, NAME.html" in " ".join(capsys.readouterr().err.split())
    assert table.read_bytes() == before


def test_what_is_no_run_is_one_line(tmp_path, runs, capsys):
    assert main(["compare", str(runs[0]), str(tmp_path)]) == 2
    assert "results.parquet is not readable: there is no such file" in " ".join(capsys.readouterr().err.split())
