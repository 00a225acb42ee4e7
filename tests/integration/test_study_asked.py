"""How a study and ``semprune test`` ask, from their YAML: every wording of a data set, as a chat."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.integration.small_study import run, write_study
from tests.integration.tiny import tiny_backbone

from semprune.attribution.fit.checkpoint import read_checkpoint
from semprune.backbones import load_backbone
from semprune.data import dataset_spec

TEMPLATE = "{% for turn in messages %}{{ turn.content }}{% endfor %}|"
SMALL = {"limit": 8, "causal": None, "losses": []}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asked")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """A study without the keys."""
    assert run(folder, ["study", "--config", str(write_study(folder, folder / "plain", **SMALL))]) == 0
    return folder / "plain"


@pytest.fixture(scope="module")
def talking(folder: Path, plain: Path) -> Path:
    """The same weights with a tokenizer that has a chat template."""
    lm = tiny_backbone()
    lm.tokenizer.chat_template = TEMPLATE
    lm.model.save_pretrained(folder / "talking")
    lm.tokenizer.save_pretrained(folder / "talking")
    return folder / "talking"


@pytest.fixture(scope="module")
def chat(folder: Path, plain: Path, talking: Path) -> Path:
    """Every wording of sst2 as a chat, on the store of the study without the keys."""
    asked = {"prompt": "all", "chat": True, "datasets": ["sst2"], "backbone": {"name": str(talking)}}
    config = write_study(folder, folder / "chat", **SMALL, **asked, store=str(plain / "store"))
    assert run(folder, ["study", "--config", str(config)]) == 0
    return folder / "chat"


def test_every_wording_of_a_study_is_scored_as_a_chat(chat: Path) -> None:
    results = pd.read_parquet(chat / "results.parquet")
    own = results[(results["dataset"] == "sst2") & (results["metric"] == "accuracy")]
    wordings = {f"{prompt.name}+chat" for prompt in dataset_spec("sst2").prompts}
    scored = own.groupby("prompt")["method"].apply(set)
    assert set(scored.index) == wordings
    assert all(methods == {"dense", "magnitude", "wanda"} for methods in scored)
    assert own["n"].eq(8).all()


def test_the_report_sums_up_what_the_results_say_of_each_wording(chat: Path) -> None:
    results = pd.read_parquet(chat / "results.parquet")
    spread = pd.read_csv(chat / "tables" / "prompts.csv")
    assert len(spread) == 2  # magnitude and Wanda
    for row, method in zip(spread.itertuples(), ("magnitude", "wanda"), strict=True):
        own = results[(results["method"] == method) & (results["metric"] == row.metric)]
        drops = -own[own["dataset"] == "sst2"].set_index("prompt")["difference"]
        assert (row.dataset, row.prompts) == ("sst2", len(dataset_spec("sst2").prompts))
        assert (row.damage, row.lowest, row.highest) == pytest.approx((drops.mean(), drops.min(), drops.max()))
        assert drops[row.lowest_prompt] == pytest.approx(drops.min())
    scores = (chat / "tables" / "scores.md").read_text(encoding="utf-8")
    assert "| sst2 (review+chat) |" in scores
    page = (chat / "report.html").read_text(encoding="utf-8")
    assert "How much hangs on the wording" in page
    assert "sst2 (review+chat)" in page.replace("<wbr>", "")


def test_what_was_measured_without_the_keys_stays_readable(folder: Path, plain: Path, chat: Path) -> None:
    before = (plain / "results.parquet").read_bytes()
    measured = {path: path.stat().st_mtime_ns for path in plain.glob("store/cells/*/results-*.parquet")}
    assert len(measured) == 3 * 3  # sst2, movie_reviews and sst2 as a chat of three models
    assert run(folder, ["study", "--config", str(folder / "plain.yaml")]) == 0
    assert {path: path.stat().st_mtime_ns for path in plain.glob("store/cells/*/results-*.parquet")} == measured
    assert (plain / "results.parquet").read_bytes() == before


MELT = {
    "name": "melt", "family": "sentiment", "about": "x", "licence": "ours", "columns": ["id", "label", "text", "last"],
    "text": ["text"], "id": "id", "labels": {"column": "label", "values": [0, 1], "classes": ["n", "p"]},
    "prompts": [{"name": "ask", "context": "{text}", "choices": ["good", "{last}"]}], "metrics": ["accuracy"],
}  # fmt: skip


@pytest.fixture(scope="module")
def melting(folder: Path, plain: Path, talking: Path) -> Path:
    """A study of a data set with one item of which nothing can be scored, as a chat that opens a thought."""
    rows = [{"id": str(n), "label": n % 2, "text": f"film {n} is", "last": "bad" if n else ""} for n in range(8)]
    (folder / "own").mkdir()
    (folder / "own" / "melt.jsonl").write_text("\n".join(map(json.dumps, rows)))
    hub = {"path": "json", "data_files": str(folder / "own" / "melt.jsonl"), "split": "train"}
    (folder / "own" / "melt.yaml").write_text(yaml.safe_dump(MELT | {"hub": hub}))
    lm = tiny_backbone()
    lm.tokenizer.chat_template = (
        TEMPLATE + "{% if level %}{{ level }}{% endif %}{{ strftime_now('%d %b') }}<|start|>assistant"
    )
    lm.model.save_pretrained(folder / "thinking")
    lm.tokenizer.save_pretrained(folder / "thinking")
    chat = {"options": {"level": 3}, "thought": "close"}
    settings = {"datasets": ["melt"], "backbone": {"name": str(folder / "thinking")}, "store": str(plain / "store")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMPRUNE_REGISTRY", str(folder / "own"))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "hub")
        assert (
            run(folder, ["study", "--config", str(write_study(folder, folder / "open", **SMALL | settings, chat=True))])
            == 2
        )
        config = write_study(folder, folder / "melting", **SMALL | settings, chat=chat)
        assert run(folder, ["study", "--config", str(config)]) == 0
        cells = {path.name for path in plain.glob("store/cells/*/predictions-melt-*")}
        config = write_study(folder, folder / "other_day", **SMALL | settings, chat=chat | {"date": "2025-01-02"})
        assert run(folder, ["study", "--config", str(config)]) == 0
        assert {path.name for path in plain.glob("store/cells/*/predictions-melt-*")} > cells  # asked another way
    return folder / "melting"


def test_an_item_that_cannot_be_scored_is_left_out_by_every_model_and_counted(melting: Path) -> None:
    results = pd.read_parquet(melting / "results.parquet")
    own = results[results["dataset"] == "melt"]
    assert set(own["method"]) == {"dense", "magnitude", "wanda"}
    assert own[["n", "left_out"]].drop_duplicates().values.tolist() == [[7, 1]]
    assert results.loc[results["dataset"] == "wiki", "left_out"].eq(0).all()
    predictions = pd.read_parquet(melting / "predictions.parquet")
    assert predictions.groupby("method")["item_id"].apply(sorted).map(tuple).unique().tolist() == [tuple("1234567")]
    provenance = json.loads((melting / "provenance.json").read_text())
    assert provenance["left_out"] == {"melt": {"ask+chat": ["0"]}}
    page = (melting / "report.html").read_text(encoding="utf-8").replace("<wbr>", "")
    assert "Items left out, as a choice has no token of its own: 1 of 8 of melt" in page


def test_how_a_chat_was_asked_is_recorded_with_every_default(melting: Path, folder: Path) -> None:
    for name, day in (("melting", "2024-07-26"), ("other_day", "2025-01-02")):
        settings = json.loads((folder / name / "provenance.json").read_text())["settings"]
        assert settings["chat"] == {"options": {"level": 3}, "date": day, "thought": "close"}


def test_a_chat_without_a_template_costs_no_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_study(folder, folder / "silent", **SMALL, chat=True)
    assert run(folder, ["study", "--config", str(config)]) == 2
    assert "no chat template" in capsys.readouterr().err
    assert not (folder / "silent" / "association.safetensors").exists()


def test_the_test_command_asks_as_a_chat_and_says_what_was_calibrated(
    folder: Path, plain: Path, talking: Path, chat: Path
) -> None:
    data = {"datasets": ["sst2"], "limit": 4, "chat": True, "prompt": "review",
            "calibration": {"sequences": 4, "length": 16},
            "documents": {"datasets": ["movie_reviews", "bbc_news"], "max_length": 32}}  # fmt: skip
    logger = {"class_path": "CSVLogger", "init_args": {"save_dir": str(folder / "logs")}}
    settings = {
        "backbone": {"name": str(talking)},
        "data": {"class_path": "EvaluationDataModule", "init_args": data},
        "trainer": {"accelerator": "cpu", "devices": 1, "default_root_dir": str(folder), "logger": logger},
    }
    config = folder / "test.yaml"
    own = load_backbone(str(talking)).fingerprint.configuration_sha256
    (checkpoint,) = (
        path
        for path in plain.glob("store/fit/*/fit.ckpt")
        if read_checkpoint(path)["semprune"]["fingerprint"]["configuration_sha256"] == own
    )
    for callback, looked in (("Wanda", True), ("Magnitude", False)):
        settings["trainer"]["callbacks"] = [{"class_path": callback}]
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        assert run(folder, ["test", "--config", str(config), "--ckpt_path", str(checkpoint)]) == 0
        newest = max((folder / "logs").rglob("results.parquet"), key=lambda path: path.stat().st_mtime_ns)
        for name in ("results", "predictions", "sparsity", "semantic_loss"):
            table = pd.read_parquet(newest.with_name(f"{name}.parquet"))
            assert table.columns[8] == "calibrated"  # where a study's tables have it
            assert table.loc[table["method"] == callback.lower(), "calibrated"].eq(looked).all()
            assert not table.loc[table["method"] == "dense", "calibrated"].any()
        assert set(pd.read_parquet(newest)["prompt"]) == {"review+chat"}
        told = json.loads(newest.with_name("provenance.json").read_text())["settings"]
        assert told["chat"] == {"options": {}, "date": "2024-07-26", "thought": "error"}


def test_a_method_with_other_options_stands_beside_itself(folder: Path) -> None:
    names = ["ria", "ria:permutation=assignment"]
    asked = {"methods": names, "patterns": ["2:4"], "sparsities": []}
    config = write_study(folder, folder / "options", **SMALL, **asked)
    assert run(folder, ["study", "--config", str(config)]) == 0
    results = pd.read_parquet(folder / "options" / "results.parquet")
    assert set(results["method"]) == {"dense", *names}
    perplexity = results[results["metric"] == "perplexity"].set_index("method")["value"]
    assert perplexity[names[0]] != perplexity[names[1]]
    assert "RIA (permutation=assignment)" in (folder / "options" / "report.html").read_text()
