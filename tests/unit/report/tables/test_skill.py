"""The share of skill in tables, sentences, page and terminal of planted rows."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from semprune.cli.commands.report import show_run
from semprune.report import load_run, terminal_table, write_report, write_tables
from semprune.report.summary.finding import hardest_hit
from semprune.report.summary.findings import findings
from semprune.report.summary.skill import plain_sentences
from semprune.report.tables.contrasts import contrast_table
from semprune.report.tables.skill import WITHOUT, counted_text, skill_table, skills
from semprune.statistics.intervals import difference_with_interval

FAMILIES = {"sentiment": ("sst2", "movie_reviews"), "similarity": ("mrpc",), "reasoning": ("piqa",)}
KEPT = {"magnitude": {"sentiment": 0.1, "similarity": np.nan, "reasoning": 0.8},
        "wanda": {"sentiment": 0.5, "similarity": np.nan, "reasoning": 0.5}}  # fmt: skip


def retained_rows(results):
    """One row per family and data set of each pruned model; half of an interval is a tenth."""
    cells = results.loc[results["method"] != "dense", ["backbone", "method", "pattern", "sparsity", "calibration",
                        "calibration_sequences", "calibration_length", "seed"]].drop_duplicates()  # fmt: skip
    for cell in cells.to_dict("records"):
        for family, datasets in FAMILIES.items():
            share = KEPT[cell["method"]][family]
            for dataset in ("", *datasets):
                half = 0.11 if dataset else 0.1
                yield cell | {"family": family, "dataset": dataset, "prompt": "default" if dataset else "",
                              "metric": "auroc" if dataset else "", "n": 300, "guessing": 0.5, "dense": 0.9,
                              "pruned": 0.5 + 0.4 * np.nan_to_num(share), "dense_d_prime": 1.8,
                              "pruned_d_prime": 0.5, "retained": share, "low": share - half,
                              "high": share + half}  # fmt: skip


@pytest.fixture
def folder(run_dir):
    results = pd.read_parquet(run_dir / "results.parquet")
    pd.DataFrame(retained_rows(results)).to_parquet(run_dir / "retained.parquet", index=False)
    return run_dir


@pytest.fixture
def screened(folder):
    keys = {"backbone": "smollm2-135m", "prompt": "default", "metric": "auroc", "n": 100, "guessing": 0.5, "low": 0.4}
    rows = [("sst2", True, True, 0.9), ("movie_reviews", False, False, 0.46), ("mrpc", False, True, 0.46)]
    screening = [keys | {"dataset": name, "family": "similarity" if name == "mrpc" else "sentiment", "admitted": can,
                         "chosen": asked, "dense": dense} for name, can, asked, dense in rows]  # fmt: skip
    pd.DataFrame(screening).to_parquet(folder / "screening.parquet", index=False)
    return folder


def printed(table, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    return console.file.getvalue()


def test_families_come_before_their_data_sets_and_verdicts_leave_out_all_of_it(folder):
    table = skill_table(load_run(folder))
    wanda = table[table["setting"] == "Wanda 50 %"]
    assert wanda["dataset"].tolist() == ["", "sst2", "movie_reviews", "", "mrpc", "", "piqa"]
    assert wanda["verdict"].tolist() == ["worse"] * 3 + ["unclear"] * 2 + ["worse"] * 2
    assert {name: (one.family, one.metric) for name, one in skills(table).items()}["piqa"] == ("reasoning", "auroc")


def test_what_was_screened_out_is_listed_with_its_reason(folder, screened):
    run = load_run(screened)
    reason = "left out of their family's figure, as the dense model does not clearly beat guessing"
    expected = f"{reason}: mrpc (46.0, guessing 50.0)"
    assert counted_text(run) == expected
    assert "mrpc" not in skills(skill_table(run))
    shown = " ".join(printed(terminal_table(run), 400).split())
    assert expected in shown
    assert "not counted" in shown
    assert expected in write_report(run).read_text("utf-8").replace("&#39;", "'")


def test_the_terminal_has_dense_pruned_and_kept_and_points_behind_a_flag(folder):
    run = load_run(folder)
    text = printed(terminal_table(run), 80)
    assert "…" not in text
    line = next(line for line in text.splitlines() if line.strip().startswith("sst2"))
    assert line.split()[:3] == ["sst2,", "AUROC", "90.0"]
    assert "54.0  10 % [−1, 21] ▼" in line.replace("\u00a0", " ")
    assert "kept  50 % [40, 60] ▼" in text.replace("\u00a0", " ")
    assert "all data sets count for their family: the run screened none" in " ".join(text.split())
    assert printed(terminal_table(run, points=True)) == printed(terminal_table(load_run(without(folder))))


@pytest.mark.parametrize("points", [False, True])
def test_no_figure_is_lost_where_the_settings_do_not_fit_side_by_side(folder, points):
    wide, narrow = (printed(terminal_table(load_run(folder), points=points), width) for width in (400, 60))
    figures = {word for word in wide.split() if any(sign.isdigit() for sign in word)}
    assert len(narrow.splitlines()) > len(wide.splitlines()) + 5
    assert figures - set(narrow.split()) == set()
    rows = [line.split()[2] for line in narrow.splitlines() if line.strip().startswith("sst2,")]
    assert points or rows == ["90.0", "90.0"]  # the dense score stands in every block


def without(folder):
    (folder / "retained.parquet").unlink()
    return folder


def test_one_plain_sentence_per_model_stands_above(folder):
    explained, magnitude, wanda = (text.replace("\u00a0", " ") for text in plain_sentences(load_run(folder)))
    assert explained.startswith("Skill is the score above guessing")
    assert magnitude == (
        "At 50 % sparsity magnitude pruning keeps 10 % [0, 20] of the dense model's skill in sentiment and 80 % "
        "[70, 90] in reasoning; on sst2 and movie_reviews it is no longer clearly better than guessing; what it keeps "
        "in semantic similarity cannot be told, as the dense model has no clear skill there."
    )
    assert wanda.startswith(
        "At 50 % sparsity Wanda keeps 50 % [40, 60] of the dense model's skill in sentiment and 50 %"
    )
    texts = [str(one).replace("\u00a0", " ") for one in findings(load_run(folder))]
    assert [magnitude, wanda] == texts[:2]


def test_equal_shares_of_unequal_skill_have_a_contrast_of_zero_and_most_is_against_each(folder):
    run = load_run(folder)
    table = contrast_table(run)
    shares = table[table["metric"] == "retained"].set_index(["setting", "family"])
    equal = shares.loc[("Wanda 50 %", "sentiment")]
    assert equal["difference"] == pytest.approx(0.0)
    assert equal["verdict"] == "unclear"
    lost = shares.loc[("Magnitude 50 %", "sentiment")]
    expected = difference_with_interval((0.9, 0.8, 1.0), (0.2, 0.1, 0.3))
    assert lost[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx(expected)
    assert (lost["verdict"], lost["datasets"], lost["others"]) == ("most", 2, 1)
    [said] = hardest_hit(run)  # by skill alone: points of families cannot be compared
    assert said.subject == "Hit hardest by share of skill:"
    assert "sentiment, with Magnitude 50 % more than every other family (70 [56, 84]" in said.text.replace(
        "\u00a0", " "
    )
    assert "with Wanda 50 % no family is clearly hit harder than the others" in said.text
    assert said.text.endswith("; semantic similarity and topic could not be compared.")


def test_more_than_the_mean_of_others_is_not_the_most(folder):
    def third(table):
        rows = table[(table["family"] == "reasoning") & (table["dataset"] != "mrpc")]
        close = rows.assign(family="topic", retained=0.15, low=0.05, high=0.25)
        return pd.concat([table, close.assign(dataset=close["dataset"].replace("piqa", "bbc_news"))])

    path = folder / "retained.parquet"
    third(pd.read_parquet(path)).to_parquet(path, index=False)
    table = contrast_table(load_run(folder))
    row = table[(table["metric"] == "retained") & (table["setting"] == "Magnitude 50 %")].set_index("family")
    assert row["verdict"].to_dict() == {"sentiment": "more", "reasoning": "least", "topic": "more"}
    said = hardest_hit(load_run(folder))[0].text
    assert "sentiment, with Magnitude 50 % more than the mean of the others" in said
    assert "every other family" not in said.split("Magnitude", 1)[1].split(";")[0]


def test_files_hold_shares_and_points(folder):
    paths = {path.name: path for path in write_tables(folder)}
    stored = pd.read_csv(paths["skill.csv"], keep_default_na=False, na_values=[""])
    assert stored["retained"].count() == 10
    assert "| sst2 | AUROC | Magnitude 50 % | 300 | 50.0 | 90.0 | 54.0 | 1.80 | 0.50 |" in paths["skill.md"].read_text()
    assert "scores.csv" in paths


def test_many_models_get_their_families(folder):
    results, retained = (pd.read_parquet(folder / f"{name}.parquet") for name in ("results", "retained"))
    for name, table in (("results", results), ("retained", retained)):
        wanda = table[table["method"] == "wanda"]
        more = [wanda.assign(sparsity=share) for share in np.arange(0.1, 0.48, 0.05)]
        pd.concat([table, *more]).to_parquet(folder / f"{name}.parquet", index=False)
    run = load_run(folder)
    text = printed(terminal_table(run), 120)
    assert "skill kept" in text
    assert "50 % [40, 60] ▼" in text.replace("\u00a0", " ")
    said = [str(one).replace("\u00a0", " ") for one in findings(run)]
    assert said[0].startswith(
        "Sentiment clearly loses skill under 10 of 10 settings; what is kept goes from 50 % [40, 60]"
    )


def test_an_older_run_says_why_it_has_points_alone(folder, capsys):
    run = without(folder)
    show_run(run)
    assert WITHOUT in " ".join(capsys.readouterr().out.split())
    assert f"Shown {WITHOUT.split('`')[0]}" in (run / "report.html").read_text("utf-8")
    assert plain_sentences(load_run(run)) == []
