"""A study's section and tables: the planted answers, on common ground only, also where little was measured."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.unit.report.test_page import Document, rows_after, words

from semprune.analysis import calibration_ranking, read_drops
from semprune.analysis.calibration import calibrated_only
from semprune.errors import CorruptArtefactError
from semprune.report import load_run, write_report, write_tables
from semprune.report.run.metrics import METRICS
from semprune.report.run.study_tables import balanced, size_table
from semprune.report.sections.calibration_heat import drop_heatmaps
from semprune.report.summary.calibration import _prediction, study_findings


@pytest.fixture
def run(study_run):
    return study_run


@pytest.fixture(scope="module")
def document(study_page):
    return Document(study_page)


@pytest.fixture
def change(study_folder, tmp_path):
    """The study with some of its tables replaced by what functions make of them."""

    def changed(**functions):
        folder = shutil.copytree(study_folder, tmp_path / "changed")
        for name, function in functions.items():
            path = folder / f"{name}.parquet"
            function(pd.read_parquet(path)).to_parquet(path, index=False)
        return folder

    return changed


def keep(function):
    """Only rows of dense models and of those that a function finds."""
    return lambda table: table[(table["method"] == "dense") | function(table)]


def test_the_page_has_the_section_between_tasks_and_meanings(document):
    sections = [attributes["id"] for attributes, _ in document.all("section")]
    assert sections[1:4] == ["tasks", "calibration", "meanings"]
    assert [attributes["href"] for attributes, _ in document.all("a")][2:5] == ["#tasks", "#calibration", "#meanings"]


def test_other_runs_have_neither_section_nor_link_nor_files(page, built_run):
    assert 'id="calibration"' not in page
    assert "#calibration" not in page
    assert load_run(built_run).study is None


def test_a_study_without_predictions_is_a_run_like_others(study_folder, tmp_path):
    folder = shutil.copytree(study_folder, tmp_path / "run")
    (folder / "predictions.parquet").unlink()
    assert 'id="calibration"' not in write_report(folder).read_text(encoding="utf-8")
    assert {path.stem for path in write_tables(folder)} == {"scores", "families", "contrasts"}


def test_ids_are_unique_and_selects_name_panels(document):
    ids = [attributes["id"] for _, attributes, _ in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    switched = {attributes["data-switch"] for attributes, _ in document.all("select")}
    assert switched == {"ranking-panels", "drop-panels", "predictor-panels", "prediction-panels"}
    assert switched <= set(ids)


def test_the_shown_ranking_is_the_analysis(document, run):
    drops = calibrated_only(read_drops(run.predictions, run.results, "accuracy"))
    expected = calibration_ranking(drops, "reasoning")
    shown = rows_after(document, "ranking-1-accuracy-caption")[1:]
    assert (
        [row[1] for row in shown] == expected["calibration"].tolist() == ["good_set", "middle_set", "sentiment_prompts"]
    )
    assert [float(row[2]) for row in shown] == pytest.approx((100 * expected["drop"]).round(1).tolist())
    assert [row[4] for row in shown] == ["best", *(f"{100 * value:.1f}" for value in expected["behind"][1:])]
    assert shown[1][6] == "< 0.001"


def test_squares_are_mean_drops_and_tell_what_is_behind_them(run):
    heat = drop_heatmaps(run, run.study)
    view = next(view for view in heat.views if view.label == "Wanda, 50 %, Accuracy")
    assert view.columns == ["sst2", "movies", "piqa", "copa"]
    assert view.families == [("Sentiment", 2), ("Reasoning", 2)]
    results = run.results.query("metric == 'accuracy' and method == 'wanda' and sparsity == 0.5 and dataset == 'piqa'")
    for name, cells in view.rows:
        own = results[results["calibration"] == name]
        assert cells[2].text == f"{-100 * own['difference'].mean():.1f}"
    more = dict(view.rows)["middle_set"][2].more
    own = results[results["calibration"] == "middle_set"]
    wrong = round(-own["difference"].sum() * 400)  # the planted models set nothing right
    assert f"{wrong} of 800 answers became wrong (items " in more
    assert "), 0 right; largest excess semantic loss: " in more
    losses = run.semantic_loss.query("layer == -1 and method == 'wanda' and sparsity == 0.5")
    top = losses[losses["calibration"] == "middle_set"].groupby("concept")["xsl"].mean().nlargest(2)
    hit = "(neuron layers.0.mlp/1 keeps 25\u00a0% of its activation)"
    assert more.endswith(" and ".join(f"{name} {100 * value:.1f} {hit}" for name, value in top.items()))


def test_the_named_items_were_right_before_and_wrong_after(run):
    view = next(v for v in drop_heatmaps(run, run.study).views if v.label == "RIA, 30 %, Accuracy")
    more = dict(view.rows)["good_set"][0].more
    named = more.split("(items ")[1].split(")")[0].split(" and ")
    rows = pd.read_parquet(run.folder / "predictions.parquet").query(f"dataset == 'sst2' and item_id in {named}")
    right = rows["prediction"] == rows["label"]
    ria = (rows["method"] == "ria") & (rows["sparsity"] == 0.3) & (rows["calibration"] == "good_set")
    assert right[rows["method"] == "dense"].tolist() == [True, True]
    assert not right[ria].any()


def test_one_view_for_every_choice_of_the_selects(run):
    heat = drop_heatmaps(run, run.study)
    (_, methods), (_, amounts), (_, metrics) = heat.selects
    chosen = {f"{one}-{two}-{three}" for one, _ in methods for two, _ in amounts for three, _ in metrics}
    assert chosen == {view.key for view in heat.views}
    assert [name for _, name in methods] == ["Mean of methods", "Wanda", "RIA"]  # magnitude looks at no calibration


def test_text_of_a_study_is_escaped(study_page):
    assert "<b>evil</b>" not in study_page
    assert "&lt;b&gt;evil&lt;/b&gt;" in study_page


def by_subject(run):
    return {finding.subject: finding for finding in study_findings(run)}


def test_the_summary_says_what_was_planted(run):
    found = by_subject(run)
    importance = found["Calibration set, by accuracy:"]
    assert importance.verdict == "worse"
    gap = 100 * run.study.spread.query("target == 'reasoning' and metric == 'accuracy'")["gap"].item()
    assert importance.text.startswith("the worst of 3 sets loses ")
    assert f"{gap:.1f}\u00a0[" in importance.text
    own = found["Calibration on a family's own prompts, by accuracy,"]
    assert own.verdict == "better"
    assert own.text.startswith("helps by 4.")
    predicted = found["Predicting the drop, by accuracy:"]
    assert predicted.verdict == "holds"
    assert predicted.text.endswith(
        "clearly more for an unseen calibration set; clearly less for an unseen task family."
    )


def test_what_explains_no_more_than_a_table_of_means_is_not_called_a_gain(run):
    prediction = run.study.prediction.copy()
    prediction.loc[prediction["model"] == "table", "r2"] = 0.99
    study = replace(run.study, prediction=prediction)
    finding = _prediction(study, METRICS["accuracy"])
    assert finding.verdict == "unclear"
    assert "(table 0.99)" in finding.text
    assert "clearly more" not in finding.text


def test_nothing_clear_is_said_so(change):
    def alike(table):
        """Every calibration set and draw gives the good set's answers; noise is all there is between methods."""
        first = table[table["calibration"].isin(["good_set", ""])]
        copies = [first.assign(calibration=name) for name in ("good_set", "middle_set", "sentiment_prompts")]
        return pd.concat([table[table["method"] == "dense"], *(c[c["calibrated"]] for c in copies)], ignore_index=True)

    found = by_subject(load_run(change(predictions=alike, results=alike)))
    importance, own = (
        found["Calibration set, by accuracy:"],
        found["Calibration on a family's own prompts, by accuracy,"],
    )
    assert importance.verdict == "unclear"
    assert importance.text.startswith("no clear gap was found between the 3 sets: 0.0")
    assert own.verdict == "unclear"
    assert own.text.startswith("makes no clear difference: 0.0")


def test_one_draw_leaves_open_what_is_luck(change):
    single = keep(lambda table: table["seed"] == 0)
    run = load_run(change(predictions=single, results=single))
    assert study_findings(run)[0].verdict == "unclear"
    assert "cannot tell a set from the luck of its draw" in study_findings(run)[0].text
    assert run.study.spread["gap"].isna().all()
    Document(write_report(run).read_text(encoding="utf-8"))


def test_sets_are_compared_only_where_all_were_measured(change):
    """Without the easy half of the good set's models it would seem worse than it is."""
    lost = keep(lambda table: ~((table["calibration"] == "good_set") & (table["sparsity"] == 0.3)))
    run = load_run(change(predictions=lost, results=lost))
    assert (run.study.measured, run.study.compared) == (20, 12)
    assert set(run.study.drops["accuracy"].cells["sparsity"]) == {0.5}
    assert run.study.ranking["calibration"].iloc[0] == "good_set"
    page = write_report(run).read_text(encoding="utf-8")
    assert "8 of 20 calibrated models are in no comparison" in page


def test_two_models_that_lose_alike_make_a_page(change):
    """The smallest study: one method and amount, two sets, one draw, no difference; and no perplexity."""

    def smallest(table):
        chosen = (table["method"] == "wanda") & (table["sparsity"] == 0.3) & (table["seed"] == 0)
        first = table[chosen & (table["calibration"] == "good_set")]
        parts = [table[table["method"] == "dense"], first, first.assign(calibration="middle_set")]
        table = pd.concat(parts, ignore_index=True)
        return table[table["metric"] != "perplexity"] if "metric" in table else table

    folder = change(predictions=smallest, results=smallest)
    run = load_run(folder)
    assert run.study.shares["share"].isna().all()
    assert run.study.prediction.empty
    page = write_report(run).read_text(encoding="utf-8")
    assert "No prediction out of sample" in page
    Document(page)


def test_without_perplexity_and_mass_the_sparsity_is_what_is_known(change):
    run = load_run(
        change(
            results=lambda table: table[table["metric"] != "perplexity"],
            sparsity=lambda table: table.drop(columns="mass_lost"),
        )
    )
    assert {"pruning", "semantic loss"} <= set(run.study.prediction["model"])
    assert set(run.study.predictors["predictor"]) >= {"sparsity", "xsl", "wsl", "minilm_cosine", "distinct_2"}


def test_a_data_set_whose_dense_score_is_undefined_is_left_out(change):
    def undefined(table):
        hit = (table["metric"] == "auroc") & (table["dataset"] == "movies")
        return table.assign(dense=table["dense"].mask(hit), value=table["value"].mask(hit))

    run = load_run(change(results=undefined))
    assert [one.name for one in run.study.drops["auroc"].datasets] == ["sst2"]
    assert [one.name for one in run.study.drops["accuracy"].datasets] == ["sst2", "movies", "piqa", "copa"]


def test_mean_drop_by_size(run):
    drops = run.study.drops["accuracy"]
    assert len(size_table(drops)) == 0
    larger = drops.cells.assign(calibration_sequences=np.where(drops.cells["seed"] == 0, 16, 64), seed=0)
    both = type(drops)(larger, drops.datasets, drops.metric)
    table = size_table(both).set_index(["target", "calibration_sequences"])
    for size in (16, 64):
        chosen = (larger["calibration_sequences"] == size).to_numpy()
        assert table.loc[("reasoning", size), "drop"] == pytest.approx(drops.mean_drops("reasoning")[chosen].mean())
        assert table.loc[("reasoning", size), "models"] == 12
    assert len(balanced(both, ["calibration_sequences"]).cells) == 24


def test_sizes_are_shown_where_there_are_several(change):
    def sized(table):
        return table.assign(
            calibration_sequences=np.where(
                table["calibrated"] & (table["seed"] == 1), 64, table["calibration_sequences"]
            ),
            seed=0,
        )

    folder = change(predictions=sized, results=sized)
    page = write_report(folder).read_text(encoding="utf-8")
    rows = rows_after(Document(page), "calibration-sizes-caption")
    assert [row[2] for row in rows[1:3]] == ["16", "64"]


def test_files_hold_the_tables(run):
    paths = {path.name: path for path in write_tables(run)}
    names = ["calibration_ranking", "calibration_spread", "variance_shares", "own_prompts", "predictors", "prediction"]
    assert {f"{name}.{kind}" for name in names for kind in ("csv", "md", "tex")} <= set(paths)
    stored = pd.read_csv(paths["calibration_ranking.csv"])
    assert stored["drop"].tolist() == pytest.approx(run.study.ranking["drop"].tolist())
    assert "| Reasoning | Accuracy | 1 | good_set | " in paths["calibration_ranking.md"].read_text(encoding="utf-8")
    latex = paths["calibration_ranking.tex"].read_text(encoding="utf-8")
    assert r"Sentiment & Accuracy & 2 & sentiment\_prompts & " in latex
    assert latex.isascii()


def test_the_page_and_the_tables_share_one_analysis(run, monkeypatch):
    first = run.study
    monkeypatch.setattr("semprune.report.run.load_run.study_tables", lambda frames: pytest.fail("analysed again"))
    write_report(run)
    write_tables(run)
    assert run.study is first


def test_a_flag_that_is_none_is_refused(change):
    folder = change(results=lambda table: table.assign(calibrated="yes"))
    with pytest.raises(CorruptArtefactError, match=r"column 'calibrated' holds .*string, not flag"):
        load_run(folder)


def test_scores_that_are_no_lists_are_refused(change):
    folder = change(predictions=lambda table: table.assign(scores=1.0))
    with pytest.raises(CorruptArtefactError, match="column 'scores' holds double, not numbers"):
        load_run(folder)


def test_correlations_are_drawn_with_their_interval(document, run):
    row = run.study.predictors.query("predictor == 'xsl' and family == 'reasoning' and metric == 'accuracy'").iloc[0]
    tables = [text for _, text in document.all("table", **{"aria-label": None}) if "Excess semantic loss" in text]
    assert any(f"{row['spearman']:.2f}" in words(text) for text in tables)
