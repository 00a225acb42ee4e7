"""A study's screening: which wording is chosen, what moves its address, and that it is scored once."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml
from tests.integration.tiny import tiny_backbone

from semprune.study.cell.screening import Screening
from semprune.study.cell.study_data import StudyData
from semprune.study.config.schema import ScreeningConfig, StudyConfig

PROMPTS = [{"name": name, "context": f"{name}: {{text}}", "choices": [" cat", " dog"]} for name in ("ask", "tell")]
PETS = {
    "name": "pets", "family": "topic", "about": "Pets.", "licence": "ours", "columns": ["text", "label"],
    "text": ["text"], "labels": {"column": "label", "values": ["cat", "dog"], "classes": ["cat", "dog"]},
    "prompts": PROMPTS, "metrics": ["accuracy", "auroc"], "reserve": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def lm():
    return tiny_backbone()


@pytest.fixture
def data(tmp_path, monkeypatch, lm):
    monkeypatch.setenv("SEMPRUNE_REGISTRY", str(tmp_path))
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    rows = [f'{{"text": "pet {n:03}", "label": "{"dog" if n % 2 else "cat"}"}}' for n in range(120)]
    (tmp_path / "pets.jsonl").write_text("\n".join(rows))
    hub = {"path": "json", "data_files": str(tmp_path / "pets.jsonl"), "split": "train"}
    (tmp_path / "pets.yaml").write_text(yaml.safe_dump({**PETS, "hub": hub}))

    def make(*, reads_only: bool = False, prompt: str | None = None, **screening) -> StudyData:
        settings = ScreeningConfig(**({"items": 10} | screening))
        config = StudyConfig(
            store=str(tmp_path / "store"), datasets=["pets"], limit=None, prompt=prompt, screening=settings
        )
        return StudyData(config, lm, reads_only)

    return make


def planted(self: Screening, name: str) -> pd.DataFrame:
    """The second wording is answered rightly, the first always with cat."""
    rows = []
    for encoded in self.items[name].items:
        item = encoded.item
        right = [0.0 if choice == item.label else -1.0 for choice in (0, 1)]
        scores = right if item.prompt == "tell" else [0.0, -1.0]
        rows.append((item.dataset, item.prompt, item.item_id, item.document_id, item.label, scores, [3, 3]))
    return pd.DataFrame(rows, columns=["dataset", "prompt", "item_id", "document_id", "label", "scores", "lengths"])


def test_the_wording_answered_best_is_evaluated_on_other_items(data, monkeypatch) -> None:
    monkeypatch.setattr(Screening, "_score", planted)
    study = data()
    table = study.screening.table
    assert table[["prompt", "dense", "chosen"]].values.tolist() == [["ask", 0.5, False], ["tell", 1.0, True]]
    evaluated = [encoded.item for encoded in study.datasets["pets"]]
    assert {item.prompt for item in evaluated} == {"tell"}
    screened = {encoded.item.document_id for encoded in study.screening.items["pets"].items}
    assert len(screened) == 10
    assert not screened & {item.document_id for item in evaluated}


@pytest.mark.parametrize(
    ("prompt", "screening", "asked"),
    [("ask", {}, {"ask"}), ("all", {}, {"ask", "tell"}), (None, {"wordings": "first"}, {"ask"})],
)
def test_a_named_prompt_goes_before_the_choice(data, monkeypatch, prompt, screening, asked) -> None:
    monkeypatch.setattr(Screening, "_score", planted)
    study = data(prompt=prompt, **screening)
    assert {encoded.item.prompt for encoded in study.datasets["pets"]} == asked
    assert set(study.screening.table["prompt"]) == asked


def test_it_is_scored_once_and_read_alike(data, monkeypatch) -> None:
    first = data()
    whole = first.screening.table
    monkeypatch.setattr(Screening, "_score", lambda self, name: pytest.fail("scored again"))
    pd.testing.assert_frame_equal(data().screening.table, whole)
    other = data(margin=0.9)  # the same answers, judged otherwise
    assert not other.screening.table["admitted"].any()
    assert other.items("pets") == first.items("pets")
    assert data(items=5).screening.missing == ["pets"]


def test_what_only_reads_scores_nothing_and_counts_the_first_wording(data, monkeypatch) -> None:
    monkeypatch.setattr(Screening, "_score", lambda self, name: pytest.fail("scored"))
    study = data(reads_only=True)
    assert study.screening.missing == ["pets"]
    assert {encoded.item.prompt for encoded in study.datasets["pets"]} == {"ask"}
