"""Concepts are held against guessing on the documents where they are measured."""

import io

from rich.console import Console

from semprune.report import load_run
from semprune.report.run.formats import small
from semprune.report.sections.meanings import concept_quality, loss_chart
from semprune.report.terminal import concept_summary


def test_a_concept_is_as_good_as_it_beats_guessing_where_it_is_measured(run_dir, edit):
    run = load_run(edit("concepts", lambda table: table.assign(held_out_prevalence=table["prevalence"])))
    first = concept_quality(run)[-1]  # the worst
    of = run.concepts["concept"] == first.label

    def rarer_where_measured(table):
        return table.assign(held_out_prevalence=table["prevalence"].where(~of, table["prevalence"] / 100))

    best = concept_quality(load_run(edit("concepts", rarer_where_measured)))[0]
    assert best.label == first.label
    assert best.guessing == small(run.concepts.loc[of, "prevalence"].iloc[0] / 100)


def test_an_older_run_is_held_against_the_fitted_documents(run_dir):
    run = load_run(run_dir)
    assert "held_out_prevalence" not in run.concepts
    assert len(concept_quality(run)) == len(run.concepts)
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(concept_summary(run.concepts))
    row = run.concepts.iloc[0]
    line = next(line for line in console.file.getvalue().splitlines() if line.split()[:1] == [row["concept"]])
    assert line.split()[2:4] == [f"{row['prevalence']:.3f}", f"{row['ap_set']:.3f}"]


def test_one_imprecise_concept_does_not_squeeze_the_chart(run_dir, edit):
    before = loss_chart(load_run(run_dir))
    name = load_run(run_dir).semantic_loss["concept"].iloc[0]

    def imprecise(table):
        rows = table["concept"] == name
        return table.assign(xsl_low=table["xsl_low"].where(~rows, -30.0), xsl_high=table["xsl_high"].where(~rows, 40.0))

    chart = loss_chart(load_run(edit("semantic_loss", imprecise)))
    assert before.axis.low <= chart.axis.low < chart.axis.high <= before.axis.high
    ends = {row.label: [(mark.low, mark.high) for _, mark in row.marks] for row in chart.rows}
    assert set(ends.pop(name)) == {(0.0, 100.0)}  # to the edges of the plot, which no end on the axis reaches
    assert all(2.5 <= low < high <= 97.5 for marks in ends.values() for low, high in marks)


def test_a_concept_without_neurons_has_no_loss_to_show(run_dir, edit):
    name = load_run(run_dir).semantic_loss["concept"].iloc[0]
    ends = ["xsl", "xsl_low", "xsl_high"]

    def unknown(table):
        return table.assign(**{end: table[end].mask(table["concept"] == name) for end in ends})

    chart = loss_chart(load_run(edit("semantic_loss", unknown)))
    (row,) = (row for row in chart.rows if row.label == name)
    assert set(row.texts) == {"n/a"}
