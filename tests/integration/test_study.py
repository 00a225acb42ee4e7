"""A study from end to end: its artefacts, and that killing it changes nothing."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.integration.small_study import run, write_study
from tests.integration.tiny import tiny_backbone
from tests.ranks import start_process

from semprune.study.cell.shared import SharedInputs

TABLES = ("results", "predictions", "sparsity", "semantic_loss", "neuron_activations", "causal", "concepts",
          "layer_concept", "neurons", "written_tokens", "contexts", "word_activations", "readout_loss", "causal_loss",
          "causal_neurons", "fidelity", "text_fidelity", "retained")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    """An undisturbed run."""
    assert run(folder, ["study", "--config", str(write_study(folder, folder / "whole"))]) == 0
    return folder / "whole"


def test_it_prints_the_table_and_writes_every_artefact(finished: Path) -> None:
    results = pd.read_parquet(finished / "results.parquet")
    assert set(results["method"]) == {"dense", "magnitude", "wanda"}
    assert set(results["dataset"]) == {"sst2", "movie_reviews", "wiki"}
    assert results.loc[results["metric"] == "accuracy", "n"].eq(20).all()
    assert (finished / "report.html").stat().st_size > 10_000
    for name in TABLES:
        assert len(pd.read_parquet(finished / f"{name}.parquet")), name
    loss = pd.read_parquet(finished / "semantic_loss.parquet")
    whole = loss[(loss["layer"] == -1) & (loss["sl"] > 0)]
    assert whole["wsl"].between(0.05, 0.95).all()  # half of the weights are gone
    assert (whole["wsl_low"] <= whole["wsl"]).all()
    for name in ("readout_loss", "causal_loss"):
        table = pd.read_parquet(finished / f"{name}.parquet")
        assert set(table["method"]) == {"magnitude", "wanda"}
        assert set(table["concept"]) == set(loss["concept"])
    words = pd.read_parquet(finished / "word_activations.parquet")
    assert set(words["word"]) >= {"good", "great", "not"}
    assert words.groupby("method")["n"].sum().nunique() == 1  # the same words before and after
    assert (words["dense"] != words["pruned"]).any()
    retained = pd.read_parquet(finished / "retained.parquet")
    assert set(retained["method"]) == {"magnitude", "wanda"}
    assert set(retained["dataset"]) == {"sst2", "movie_reviews", ""}
    scores = retained[retained["dataset"] != ""].merge(results[results["metric"] == "auroc"], on=["method", "dataset"])
    assert len(scores) == 4
    assert (scores["pruned"] - scores["value"]).abs().max() < 1e-12  # the results' own figure
    sparsity = pd.read_parquet(finished / "sparsity.parquet")
    assert sparsity["measured"].between(0.49, 0.51).all()
    for name in ("calibration", "task_concepts"):  # there is no other set to compare with
        assert not (finished / f"{name}.parquet").exists()
    assert sparsity["mass_lost"].between(0.05, 0.6).all()  # small scores go: less than half of the mass, by and large


def test_fidelity_agrees_with_perplexity_and_answers_and_lies_over_its_floor(finished: Path) -> None:
    table, results = (pd.read_parquet(finished / f"{name}.parquet") for name in ("fidelity", "results"))
    dense, pruned = (table[(table["method"] == "dense") == own] for own in (True, False))
    assert (dense["value"].abs() == dense["floor"]).all()
    kl = table[table["measure"] == "kl"].set_index("method")
    assert kl.loc["dense", "value"] < 1e-6
    each = pd.read_parquet(finished / "text_fidelity.parquet").groupby("method")["kl"].mean()
    assert each.to_dict() == pytest.approx(kl["value"].to_dict())
    assert (kl.loc[["magnitude", "wanda"], "value"] > 100 * kl.loc["dense", "value"]).all()
    assert table.loc[table["measure"].isin(["kl", "item_kl"]), "value"].ge(0).all()
    assert pruned.loc[pruned["measure"] != "rank_agreement", "floor"].notna().all()
    grown = results[results["metric"] == "perplexity"].set_index("method")
    for method, row in table[table["measure"] == "log_perplexity"].set_index("method").drop(index="dense").iterrows():
        assert row["value"] == pytest.approx(np.log(grown.loc[method, "value"] / grown.loc[method, "dense"]), abs=1e-9)
    answers = pd.read_parquet(finished / "predictions.parquet")
    before = answers[answers["method"] == "dense"].set_index(["dataset", "item_id"])["prediction"]
    for keys, row in pruned[pruned["measure"] == "flips"].set_index(["method", "dataset"]).iterrows():
        after = answers[(answers["method"] == keys[0]) & (answers["dataset"] == keys[1])]
        after = after.set_index(["dataset", "item_id"])["prediction"]
        assert row["value"] == pytest.approx((after != before[after.index]).mean())


KILLED_AT = (
    "store/fit/*/last.ckpt", "store/fit/*/causal-*.parquet", "store/cells/dense-*/results-*.parquet",
    "store/cells/dense-*/cell.json",
)  # fmt: skip


@pytest.mark.parametrize(
    "signs", [KILLED_AT[:1], pytest.param(KILLED_AT, marks=pytest.mark.slow)], ids=["once", "at every stage"]
)
def test_killed_at_any_place_it_ends_with_the_same_bytes(
    folder: Path, finished: Path, tmp_path: Path, signs: tuple[str, ...]
) -> None:
    config, output = write_study(folder, tmp_path / "killed"), tmp_path / "killed"
    kill_at(folder, config, output, signs)
    assert run(folder, ["study", "--config", str(config)]) == 0
    assert_same(output, finished, TABLES)


def test_a_cell_goes_on_at_the_data_set_where_it_was_stopped(
    folder: Path, finished: Path, tmp_path: Path, monkeypatch
) -> None:
    output, score, asked = tmp_path / "stopped", SharedInputs.score, []
    config = write_study(folder, output)
    shutil.copytree(finished / "store", output / "store")
    (marker,) = (output / "store/cells").glob("wanda-*/cell.json")
    (second,) = marker.parent.glob("results-movie_reviews-*")
    (meaning,) = marker.parent.glob("meaning-*")
    for file in (marker, marker.parent / "sparsity.parquet", second):
        file.unlink()
    shutil.rmtree(meaning)
    monkeypatch.setattr(SharedInputs, "score", lambda self, name: asked.append(name) or score(self, name))
    assert run(folder, ["study", "--config", str(config)]) == 0
    assert asked == ["movie_reviews"]
    assert_same(output, finished, TABLES)


@pytest.mark.slow
def test_killed_while_and_after_it_screens_it_ends_with_the_same_bytes(folder: Path, tmp_path: Path, capsys) -> None:
    screening = {"items": 8, "margin": 0.0, "wordings": "best"}
    whole, output = tmp_path / "whole", tmp_path / "killed"
    undisturbed = write_study(folder, whole, screening=screening, datasets=["sst2"])
    assert run(folder, ["study", "--config", str(undisturbed), "--dry_run"]) == 0
    assert "screening: about" in capsys.readouterr().out
    assert run(folder, ["study", "--config", str(undisturbed)]) == 0
    config = write_study(folder, output, screening=screening, datasets=["sst2"])
    kill_at(folder, config, output, ("store/screening/*.parquet", "store/cells/dense-*/cell.json"))
    assert run(folder, ["study", "--config", str(config)]) == 0
    assert_same(output, whole, (*TABLES, "screening"))
    asked = pd.read_parquet(whole / "screening.parquet")
    assert asked.groupby("dataset")["chosen"].sum().eq(1).all()
    chosen = asked[asked["chosen"]].set_index("dataset")["prompt"].to_dict()
    answered = pd.read_parquet(whole / "predictions.parquet").groupby("dataset")["prompt"].unique()
    assert {name: list(prompts) for name, prompts in answered.items()} == {name: [chosen[name]] for name in chosen}
    capsys.readouterr()
    assert run(folder, ["study", "--config", str(config), "--dry_run"]) == 0
    assert "screening: about" not in capsys.readouterr().out  # it is in the store


def kill_at(folder: Path, config: Path, output: Path, signs: tuple[str, ...]) -> None:
    """Start a study as often as there are signs, and kill it when the next one appears."""
    for sign in signs:
        process = start_process(study_alone, folder, config, torch.get_num_threads())
        while not list(output.glob(sign)):
            assert process.is_alive()
            time.sleep(0.01)
        process.kill()
        process.join()


def study_alone(_rank: int, folder: Path, config: Path, threads: int) -> None:
    """Run a study in a process of its own."""
    torch.set_num_threads(threads)  # sums differ in their last bit with their number
    run(folder, ["study", "--config", str(config)])


def assert_same(output: Path, other: Path, tables: tuple[str, ...]) -> None:
    """Two runs have the same bytes, and the first left nothing unfinished behind."""
    assert not list(output.rglob("*.tmp*"))
    for name in (*(f"{table}.parquet" for table in tables), "association.safetensors"):
        assert (output / name).read_bytes() == (other / name).read_bytes(), name


def test_a_damaged_checkpoint_of_a_study_is_named(folder: Path, finished: Path, capsys) -> None:
    config = write_study(folder, folder / "damaged")
    (whole,) = finished.glob("store/fit/*/fit.ckpt")
    damaged = folder / "damaged" / whole.relative_to(finished)
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(whole.read_bytes()[:5000])
    assert run(folder, ["study", "--config", str(config)]) == 2
    error = capsys.readouterr().err
    assert "CorruptArtefactError" in error
    assert "the association is then fitted anew" in error


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fit": {"datasets": ["movie_reviews"], "max_length": 32, "concepts": ["sentiment.positve"]}},
         "UnknownConceptError: unknown concept 'sentiment.positve'; did you mean 'sentiment.positive'?"),
        ({"calibration_sequences": 4000}, "EmptyCalibrationError"),
        ({"losses": ["l2"]}, "losses must be some of readout, causal, got 'l2'"),
        ({"calibration_length": 4000}, "calibration length must be at most 64"),
        ({"datasets": ["bbc_news"], "causal": {"dataset": "bbc_news"}}, "PromptTooLongError"),
    ],
)  # fmt: skip
def test_bad_input_costs_no_work(folder: Path, changes, said, capsys) -> None:
    config = write_study(folder, folder / "bad", **changes)
    assert run(folder, ["study", "--config", str(config)]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "bad/association.safetensors").exists()


def test_several_backbones_stand_in_one_page_each_against_its_own_dense_model(folder: Path, finished: Path) -> None:
    other = tiny_backbone(seed=1)
    for part in (other.model, other.tokenizer):
        part.save_pretrained(folder / "other")
    shutil.copytree(finished / "store", folder / "both/store")  # the first backbone's cells are there
    config = write_study(folder, folder / "both", backbones=[str(folder / "other")])
    assert run(folder, ["study", "--config", str(config)]) == 0
    results, alone = (pd.read_parquet(path / "results.parquet") for path in (folder / "both", finished))
    first, second = (rows.reset_index(drop=True) for _, rows in results.groupby("backbone", sort=False))
    pd.testing.assert_frame_equal(first, alone)
    assert len(second) == len(first)
    assert second["difference"].isna().sum() == first["difference"].isna().sum()  # the dense model's rows alone
    assert not second["value"].equals(first["value"])
    page = (folder / "both/report.html").read_text(encoding="utf-8")
    names = [record["name"] for record in json.loads((folder / "both/provenance.json").read_text())["backbones"]]
    assert len(names) == 2
    for name in names:
        assert Path(name).name in page.partition("</header>")[0]


def test_another_fit_in_the_same_folder_is_fitted_anew(folder: Path, finished: Path) -> None:
    before = (finished / "results.parquet").read_bytes()
    fit = {"datasets": ["movie_reviews", "bbc_news"], "limit": 40, "max_length": 32, "batch_size": 16,
           "concepts": ["sentiment.positive"]}  # fmt: skip
    assert run(folder, ["study", "--config", str(write_study(folder, finished, fit=fit))]) == 0
    assert len(list(finished.glob("store/fit/*/fit.ckpt"))) == 2
    assert "language.negation" not in set(pd.read_parquet(finished / "concepts.parquet")["concept"])
    assert run(folder, ["study", "--config", str(write_study(folder, finished))]) == 0
    assert (finished / "results.parquet").read_bytes() == before


@pytest.fixture(scope="module")
def checkpoint(finished: Path) -> Path:
    return next(finished.glob("store/fit/*/fit.ckpt"))


def evaluate(folder: Path, checkpoint: Path, *more: str) -> list[str]:
    data = ["--data.datasets", "[sst2,movie_reviews]", "--data.limit", "12", "--data.calibration.sequences", "4",
            "--data.calibration.length", "16", "--data.documents.datasets", "[movie_reviews,bbc_news]",
            "--data.documents.max_length", "32"]  # fmt: skip
    return ["test", "--backbone.name", str(folder / "model"), "--data", "EvaluationDataModule", *data, *more,
            "--trainer.callbacks", "Wanda", "--trainer.accelerator", "cpu", "--trainer.devices", "1",
            "--trainer.default_root_dir", str(folder), "--trainer.logger", "CSVLogger",
            "--trainer.logger.save_dir", str(folder / "logs"), "--ckpt_path", str(checkpoint)]  # fmt: skip


def test_the_test_command_writes_tables_and_a_report(folder: Path, checkpoint: Path, capsys) -> None:
    assert run(folder, evaluate(folder, checkpoint, "--losses", "[readout]")) == 0
    out = capsys.readouterr().out
    assert "Dense against pruned" in out
    (results,) = (folder / "logs").rglob("results.parquet")
    table = pd.read_parquet(results)
    assert set(table["method"]) == {"dense", "wanda"}
    drawn = table.loc[table["method"] == "wanda", ["calibration", "calibration_sequences", "calibration_length"]]
    assert set(drawn.itertuples(index=False, name=None)) == {("c4", 4, 16)}
    loss = pd.read_parquet(results.with_name("semantic_loss.parquet"))
    assert set(loss["concept"]) >= {"sentiment.positive", "movie_reviews.positive"}
    readout = pd.read_parquet(results.with_name("readout_loss.parquet"))
    assert readout["loss_frozen"].notna().any()
    assert not results.with_name("causal_loss.parquet").exists()
    near = pd.read_parquet(results.with_name("fidelity.parquet"))
    assert set(near["measure"]) == {"item_kl", "flips", "lost", "gained", "moved", "rank_agreement"}
    assert near["floor"].isna().all()
    assert results.with_name("report.html").is_file()
    assert results.with_name("config.test.yaml").is_file()
    provenance = json.loads(results.with_name("provenance.json").read_text())
    assert provenance["backbone"]["name"] == str(folder / "model")
    assert set(provenance["calibration"]) == {"c4"}
    assert provenance["special_tokens"] == {"texts": "none", "calibration": "none"}


def test_a_damaged_checkpoint_is_named(folder: Path, checkpoint: Path, capsys) -> None:
    damaged = folder / "damaged.ckpt"
    damaged.write_bytes(checkpoint.read_bytes()[:5000])
    assert run(folder, evaluate(folder, damaged)) == 2
    assert "CorruptArtefactError: " in capsys.readouterr().err


def test_a_setting_that_contradicts_the_checkpoint_is_refused(folder: Path, checkpoint: Path, capsys) -> None:
    assert run(folder, evaluate(folder, checkpoint, "--model.ridge", "0.5")) == 2
    assert "model.ridge is 0.5, but" in capsys.readouterr().err


def test_a_checkpoint_of_other_weights_is_refused(folder: Path, checkpoint: Path, capsys) -> None:
    other = torch.load(checkpoint, weights_only=True)
    other["semprune"]["fingerprint"]["weights_sha256"] = "0" * 64
    torch.save(other, folder / "other.ckpt")
    assert run(folder, evaluate(folder, folder / "other.ckpt")) == 2
    assert "BackboneMismatchError" in capsys.readouterr().err


def test_a_prompt_that_does_not_fit_is_named(folder: Path, checkpoint: Path, capsys) -> None:
    assert run(folder, evaluate(folder, checkpoint, "--data.datasets", "[bbc_news]")) == 2
    assert "PromptTooLongError" in capsys.readouterr().err
