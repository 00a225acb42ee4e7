"""Every example runs, is short, and prints what can be checked."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from tests.docs.conftest import small_backbone
from tests.docs.pages import ROOT

from semprune.attribution.association.association import Association

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
CONCEPTS = ("sentiment.positive", "sentiment.negative")


@pytest.fixture
def run(offline, monkeypatch, capsys):
    """Run an example as a script on the small model; returns what it prints."""

    def example(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return example


def test_all_methods_are_compared(run):
    out = run("prune_and_compare", "--limit", "20", "--sequences", "8")
    for method in ("magnitude", "ria", "sparsegpt", "wanda"):
        assert re.search(rf"^\s*{method}\s+accuracy\s+[01]\.\d+", out, re.MULTILINE), method


def test_any_model_is_scored(run, offline):
    out = run("evaluate_any_model", "--limit", "10", "--datasets", "movie_reviews")
    assert {"review", "question", "good_or_bad"} <= set(out.split())
    assert out.count(" nats") == 2
    assert list((offline / "runs/scores").rglob("*.parquet"))


def test_an_own_data_set_is_scored(run):
    out = run("own_dataset")
    items, reserved = map(int, re.search(r"(\d+) items, (\d+) documents reserved", out).groups())
    assert items + reserved == 6
    assert re.search(r"coffee\s+accuracy", out)


def test_pruned_weights_stay_zero_in_fine_tuning(run):
    out = run("hold_masks_finetune", "--texts", "6", "--sequences", "8")
    pruned, moved = map(int, re.search(r"(\d+) pruned weights, (\d+) of them moved", out).groups())
    lm = small_backbone()
    assert pruned == sum(lm.model.get_submodule(matrix.module).weight.numel() for matrix in lm.matrices) // 2
    assert moved == 0


def test_callbacks_prune_under_a_trainer(run, offline):
    out = run("callbacks_in_trainer", "--texts", "60", "--limit", "12")
    assert re.search(r"sentiment\.negative\s+(?:\d\.\d+|NaN)", out)
    assert (offline / "runs/trainer/association.safetensors").is_file()


def test_a_neuron_is_explained(run, offline):
    lm = small_backbone()
    neurons = sum(site.width for site in lm.sites)
    matrix = torch.rand(neurons, 2, generator=torch.Generator().manual_seed(0)) + 0.05
    matrix[5, 1] = 3.0  # the strongest of sentiment.negative: planted
    Association(
        matrix=matrix, t=20 * matrix, q=torch.zeros(neurons, 2), gate=matrix != 0, any_concept=torch.rand(neurons),
        neuron_class=torch.ones(neurons, dtype=torch.long), mean=torch.zeros(neurons), rms=torch.ones(neurons),
        concepts=CONCEPTS, levels=("token", "token"), sites=lm.sites, fingerprint=lm.fingerprint,
        settings={"backbone": "small"},
    ).save(offline / "run/association.safetensors")  # fmt: skip
    out = run("explain_a_neuron", "--run", "run", "--text", "a good film")
    assert out.startswith(f"{lm.sites[0].name}/5, strongest of sentiment.negative: specific\n")
    assert "good" in out


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_tested_and_listed(path: Path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 60
    assert text.startswith('"""')
    assert f'run("{path.stem}"' in Path(__file__).read_text("utf-8")
    assert f"({path.name})" in path.with_name("README.md").read_text("utf-8")
