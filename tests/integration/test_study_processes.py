"""Several processes on one store: claims, deaths, engines; and cells that fail."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.integration.small_study import run, write_cache, write_study

from semprune.study import StudyConfig
from semprune.study.cell import shared
from semprune.study.config.grid import pruned_cells

ROOT = Path(__file__).parents[2]
GRID = {
    "methods": ["magnitude", "ria"], "sparsities": [0.3, 0.5], "calibrations": ["c4", "c4*0.5+wiki*0.5"],
    "seeds": [0, 1], "statistics": "dense", "causal": None,
}  # fmt: skip
CELLS = 2 + 2 * 2 * 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Path:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes that are compared with it
    assert studied(folder, write_study(folder, folder / "whole", **GRID))
    torch.set_num_threads(threads)
    return folder / "whole"


def studied(folder: Path, config: Path) -> bool:
    """Run a study in this process."""
    return run(folder, ["study", "--config", str(config)]) == 0


def command(folder: Path, config: Path) -> subprocess.Popen[bytes]:
    """Start a study as a user does; packages come from a cache of their own."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {
        "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONWARNINGS": "ignore",
        "SEMPRUNE_CACHE": str(write_cache(folder)),
    }  # fmt: skip
    main = "import sys; from semprune.cli.__main__ import main; sys.exit(main())"
    line = [sys.executable, "-c", main, "study", "--config", str(config)]
    with (folder / "stderr.txt").open("a") as said:
        return subprocess.Popen(line, cwd=ROOT, env=environment, stderr=said)


def same_rows(one: Path, other: Path) -> None:
    for name in ("results", "predictions", "sparsity", "semantic_loss", "neuron_activations"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(one / f"{name}.parquet"), pd.read_parquet(other / f"{name}.parquet"), check_exact=True
        )


def finished(store: Path) -> dict[Path, int]:
    """Each finished cell with the time at which it was."""
    return {path: path.stat().st_mtime_ns for path in store.glob("cells/*/cell.json")}


def test_a_grid_states_every_cell(undisturbed: Path) -> None:
    results = pd.read_parquet(undisturbed / "results.parquet")
    assert len(finished(undisturbed / "store")) == CELLS + 1  # the dense one
    keys = ["method", "sparsity", "calibration", "seed"]
    assert len(results[results["method"] != "dense"].drop_duplicates(keys)) == CELLS + 2  # magnitude for both sets
    magnitude = results[(results["method"] == "magnitude") & (results["sparsity"] == 0.5)]
    assert set(magnitude["calibration"]) == {"c4", "c4*0.5+wiki*0.5"}
    by_set = [rows["value"].tolist() for _, rows in magnitude.groupby("calibration")]
    assert by_set[0] == by_set[1]
    assert not magnitude["calibrated"].any()
    assert results.loc[results["method"] == "ria", "calibrated"].all()
    assert set(results.loc[results["method"] == "ria", "calibration_length"]) == {16}
    assert len(list((undisturbed / "lightning_logs/cells").iterdir())) == CELLS


def test_every_calibration_set_is_described(undisturbed: Path) -> None:
    table = pd.read_parquet(undisturbed / "calibration.parquet")
    draws = table.groupby(["calibration", "seed"])
    assert set(draws.groups) == {(name, seed) for name in GRID["calibrations"] for seed in (0, 1)}
    assert table["token_hash"].nunique() == 4
    alone = table[table["dataset"] == ""].groupby("measure")["value"]
    assert set(alone.groups) == {
        "vocabulary_coverage", "distinct_2", "distinct_3", "concept_coverage", "activation_coverage",
    }  # fmt: skip
    assert alone.min().drop("concept_coverage").gt(0).all()  # few of so few tokens are a concept's
    assert alone.min()["concept_coverage"] >= 0
    own = pd.read_parquet(undisturbed / "task_concepts.parquet")
    assert own.groupby("dataset")["weight"].sum().round(9).eq(1).all()
    assert own["source"].eq("labels").all()  # the association knows sentiment
    assert set(own["concept"]) <= set(pd.read_parquet(undisturbed / "semantic_loss.parquet")["concept"])
    assert alone.max().le(1).all()
    likeness = table[table["dataset"] != ""]
    assert set(likeness["dataset"]) == {"sst2", "movie_reviews"}
    assert set(likeness["measure"]) == {"concept_divergence", "input_norm_correlation", "bigram_coverage"}
    silent = alone.get_group("concept_coverage").eq(0).any()  # without concept tokens there is no histogram
    defined = likeness[likeness["value"].notna()]
    assert set(likeness.loc[likeness["value"].isna(), "measure"]) <= ({"concept_divergence"} if silent else set())
    assert defined["value"].between(-1, 1).all()


def test_another_study_computes_only_what_is_new(folder: Path, undisturbed: Path) -> None:
    before = finished(undisturbed / "store")
    wider = GRID | {"seeds": [0], "sparsities": [0.5], "datasets": ["sst2"], "store": str(undisturbed / "store")}
    assert studied(folder, write_study(folder, folder / "part", **wider))
    assert finished(undisturbed / "store") == before
    part, whole = (pd.read_parquet(run / "results.parquet") for run in (folder / "part", undisturbed))
    merged = part.merge(whole, how="left", on=list(part.columns), indicator=True)
    assert (merged["_merge"] == "both").all()


def test_dense_statistics_give_the_cells_that_prune_model_gives(folder: Path, undisturbed: Path) -> None:
    """Shared statistics change nothing: a study of one cell, whose statistics nobody shares, has the same rows."""
    alone = GRID | {"methods": ["ria"], "sparsities": [0.3], "calibrations": ["c4"], "seeds": [1]}
    assert studied(folder, write_study(folder, folder / "alone", **alone))
    own = pd.read_parquet(folder / "alone/results.parquet")
    whole = pd.read_parquet(undisturbed / "results.parquet")
    same = whole[(whole["method"] == "ria") & (whole["sparsity"] == 0.3) & (whole["calibration"] == "c4")]
    rows = own[own["method"] == "ria"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, same[same["seed"] == 1].reset_index(drop=True), check_exact=True)


@pytest.mark.slow
def test_two_processes_one_killed_three_times_end_with_the_same_rows(folder: Path, undisturbed: Path) -> None:
    store, draws = folder / "shared", random.Random(0)
    configs = [write_study(folder, folder / f"shared{k}", **GRID, store=str(store)) for k in range(2)]
    victim = command(folder, configs[0])
    other = None
    for kill in range(3):
        enough = len(finished(store)) + draws.randint(1, 3)
        deadline = time.monotonic() + 60
        while len(finished(store)) < enough and victim.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draws.uniform(0, 0.4))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim = command(folder, configs[0])
        if kill == 1:
            other = command(folder, configs[1])
    assert other is not None
    assert (victim.wait(300), other.wait(300)) == (0, 0)
    assert len(finished(store)) == CELLS + 1
    assert not list(store.rglob("*.tmp"))
    for k in range(2):
        same_rows(folder / f"shared{k}", undisturbed)


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        pytest.param("local", {}, marks=pytest.mark.slow),
        pytest.param("ray", {"include_dashboard": False}, marks=pytest.mark.slow),
        pytest.param("slurm", {"cluster": "local", "timeout_min": 10}, marks=pytest.mark.slow),
    ],
)
def test_an_engine_gives_the_same_rows(folder: Path, undisturbed: Path, engine, options) -> None:
    settings = {"name": engine, "workers": 2, "options": options}
    study = command(folder, write_study(folder, folder / engine, **GRID, engine=settings))
    assert study.wait(500) == 0
    same_rows(folder / engine, undisturbed)
    pruned = [path for path in finished(folder / engine / "store") if not path.parent.name.startswith("dense-")]
    owners = {json.loads(path.read_text())["process"].split(":")[-1] for path in pruned}
    assert owners  # all cells were measured by the engine's processes, none by the command's own
    assert str(study.pid) not in owners


def test_a_cell_that_fails_is_recorded_and_the_rest_goes_on(folder: Path, capsys, monkeypatch) -> None:
    whole = shared.prune_from

    def failing(model, statistics, *, method, **settings):
        if method == "ria" and settings["sparsity"] == 0.5:
            raise RuntimeError("no luck")
        return whole(model, statistics, method=method, **settings)

    monkeypatch.setattr(shared, "prune_from", failing)
    config = write_study(folder, folder / "failing", **GRID | {"seeds": [0], "calibrations": ["c4"]})
    assert run(folder, ["study", "--config", str(config)]) == 2
    said = capsys.readouterr()
    assert "RuntimeError" in said.out
    assert "no luck" in said.out
    assert "1 cell of the study failed" in said.err
    failures = pd.read_parquet(folder / "failing/failures.parquet")
    assert failures[["method", "sparsity", "error"]].values.tolist() == [["ria", 0.5, "RuntimeError: no luck"]]
    results = pd.read_parquet(folder / "failing/results.parquet")
    assert len(results.loc[results["method"] == "ria"].drop_duplicates("sparsity")) == 1
    monkeypatch.undo()
    assert run(folder, ["study", "--config", str(config)]) == 0
    assert not (folder / "failing/failures.parquet").exists()


def test_a_dry_run_says_what_is_done_and_computes_nothing(folder: Path, undisturbed: Path, capsys) -> None:
    config = write_study(folder, folder / "planned", **GRID | {"store": str(undisturbed / "store"), "seeds": [0, 7]})
    before = finished(undisturbed / "store")
    assert run(folder, ["study", "--config", str(config), "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert finished(undisturbed / "store") == before
    assert not (folder / "planned/results.parquet").exists()
    assert "10 cells and the dense model; about" in said
    assert "GB of" in said
    assert "ria-0.5-c4-4x16-7" in said
    assert "ria-0.5-c4-4x16-0" not in said


def test_the_grid_is_every_size_length_and_seed() -> None:
    config = StudyConfig(methods=["wanda"], calibration_sequences=[4, 8], calibration_length=[16, 32], seeds=[0, 1])
    assert len(list(pruned_cells(config))) == 8
