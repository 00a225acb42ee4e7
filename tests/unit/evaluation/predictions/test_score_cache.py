"""Nothing is scored twice by the same weights, and nothing is taken from other ones."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tests.models import letter_tokenizer

from semprune.errors import CorruptArtefactError
from semprune.evaluation.evaluate import predict_items
from semprune.evaluation.predictions import score_cache
from semprune.types import Item

LETTERS = "abcdefghijklmnopqrstuvwxyz "


@pytest.fixture
def lm(tiny_model):
    tokenizer = letter_tokenizer(LETTERS, bos_token="<s>", eos_token="<s>")
    return SimpleNamespace(name="tiny", model=tiny_model("llama"), tokenizer=tokenizer, max_length=64)


def items(count, prompt="harness"):
    texts = [f"film {LETTERS[index]} was" for index in range(count)]
    return [
        Item("sst2", f"{index:02d}", str(index), ((text, " bad"), (text, " good")), index % 2, prompt)
        for index, text in enumerate(texts)
    ]


def scored_and_known(lm, made, folder):
    table = predict_items(lm, made, cache=folder)
    cost = table.attrs["throughput"]
    return (cost["requests"] // 2, cost["cached"]), table


def test_only_what_is_new_is_scored_and_the_table_is_the_same(lm, tmp_path):
    (counts, first) = scored_and_known(lm, items(3), tmp_path)
    assert counts == (3, 0)
    (counts, more) = scored_and_known(lm, items(5), tmp_path)
    assert counts == (2, 3)
    assert more["scores"].tolist()[:3] == first["scores"].tolist()
    (counts, again) = scored_and_known(lm, items(5), tmp_path)
    assert counts == (0, 5)
    assert again.equals(more)
    fresh = predict_items(lm, items(5))
    assert [score for row in again["scores"] for score in row] == pytest.approx(
        [score for row in fresh["scores"] for score in row], abs=1e-6
    )


def test_other_weights_prompts_and_engines_find_nothing(lm, tmp_path, monkeypatch):
    scored_and_known(lm, items(2), tmp_path)
    assert scored_and_known(lm, items(2, prompt="other"), tmp_path)[0] == (2, 0)
    weight = lm.model.model.layers[0].mlp.down_proj.weight
    kept = weight[0, 0].item()
    weight[0, 0] = 0.0  # one pruned weight
    assert scored_and_known(lm, items(2), tmp_path)[0] == (2, 0)
    weight[0, 0] = kept  # dense again
    assert scored_and_known(lm, items(2), tmp_path)[0] == (0, 2)
    lm.model.config.rms_norm_eps *= 2
    assert scored_and_known(lm, items(2), tmp_path)[0] == (2, 0)
    lm.model.config.rms_norm_eps /= 2
    monkeypatch.setattr(score_cache, "ENGINE_VERSION", score_cache.ENGINE_VERSION + 1)
    assert scored_and_known(lm, items(2), tmp_path)[0] == (2, 0)


def test_a_run_that_breaks_keeps_what_it_has(lm, tmp_path):
    forward, calls = lm.model.forward, []

    def breaks(*arguments, **inputs):
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return forward(*arguments, **inputs)

    lm.model.forward = breaks
    with pytest.raises(KeyboardInterrupt):
        predict_items(lm, items(6), token_budget=16, cache=tmp_path)  # 16 tokens: one item a batch
    lm.model.forward = forward
    assert scored_and_known(lm, items(6), tmp_path)[0] == (4, 2)


def test_the_same_scores_are_the_same_bytes(lm, tmp_path):
    made = []
    for folder in ("one", "two"):
        predict_items(lm, items(4), cache=tmp_path / folder)
        [path] = (tmp_path / folder).rglob("*.parquet")
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_a_damaged_file_is_named(lm, tmp_path):
    predict_items(lm, items(2), cache=tmp_path)
    [path] = tmp_path.rglob("*.parquet")
    assert path.name == "sst2.harness.parquet"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CorruptArtefactError, match=r"sst2\.harness\.parquet .* Delete it"):
        predict_items(lm, items(2), cache=tmp_path)


def test_true_takes_the_cache_folder(lm, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path))
    predict_items(lm, items(1), cache=True)
    assert [path.parent.parent for path in tmp_path.rglob("*.parquet")] == [tmp_path / "scores"]
    assert torch.is_grad_enabled()
