"""A streamed model is weighed and pruned as one in memory; killed and taken up again, too."""

from dataclasses import replace

import pytest
import torch
from tests import models
from tests.unit.pruning.guidance.test_fisher import linears_of, protected
from tests.unit.pruning.streamed.streamed_runs import IDS, contents, plan_of, prune_into, saved
from transformers import AutoModelForCausalLM

from semprune.backbones.blocks.runner import calibrating
from semprune.pruning import load_masks, prune_model
from semprune.pruning.guidance.fisher import fisher_weights
from semprune.pruning.in_memory import prune_model as pruning
from semprune.pruning.streamed.memory_estimate import estimate_memory
from semprune.pruning.streamed.protected import weigh_streamed

TEXTS = (protected(),)


def guided(folder, method="wanda", **settings):
    return replace(plan_of(folder, method, protect=(pruning.protections("toy")), **settings), protected=TEXTS)


@pytest.mark.parametrize(
    "make", [models.llama, models.gpt2, lambda: models.llama(tie_word_embeddings=True), models.mixtral]
)
def test_weights_are_those_of_the_model_in_memory(tmp_path, make):
    model = make()
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    model.save_pretrained(tmp_path / "model")
    plan = guided(tmp_path / "model", unrouted="keep")
    (tmp_path / "work").mkdir()
    with calibrating(plan.streamed.model):
        ((_, found),) = weigh_streamed(plan.streamed, TEXTS, plan.settings, tmp_path / "work")
    expected = fisher_weights(model, linears_of(model), TEXTS[0])
    kinds = [(getattr(found, kind), getattr(expected, kind)) for kind in ("tokens", "outputs", "products")]
    for here, there in kinds:
        assert here.keys() == there.keys()
        for name, weights in there.items():
            torch.testing.assert_close(here[name], weights, rtol=1e-3, atol=1e-5)
    assert all(value.is_meta for value in plan.streamed.model.parameters())
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["weights-0.safetensors"]


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("wanda", {}),
        ("sparsegpt", {"statistics": "dense"}),
        ("ria", {"pattern": "2:4"}),
        ("wanda", {"allocation": "owl", "options": {"owl_multiple": 2.0}}),
    ],
)
def test_a_streamed_pruning_keeps_what_one_in_memory_keeps(tmp_path, monkeypatch, method, settings):
    folder = saved(tmp_path / "model")
    prune_into(tmp_path / "out", guided(folder, method, **settings))

    monkeypatch.setattr(pruning, "protected_texts", lambda *_: TEXTS)
    options = settings.pop("options", {})
    amount = {} if "pattern" in settings else {"sparsity": 0.5}
    model = AutoModelForCausalLM.from_pretrained(folder)
    report = prune_model(model, IDS, method=method, batch_size=4, protect="toy", **amount, **settings, **options)
    stored = load_masks(tmp_path / "out")
    assert {name: torch.equal(mask, stored.masks[name]) for name, mask in report.masks.items()} == dict.fromkeys(
        report.masks, True
    )
    assert stored.settings == report.settings
    assert stored.settings["protected_text"] == {"toy": TEXTS[0].text_hash}


def test_a_stopped_pruning_goes_on_with_the_same_bytes(tmp_path):
    folder = saved(tmp_path / "model", num_hidden_layers=3)
    prune_into(tmp_path / "whole", guided(folder))

    def stop(block):
        if block == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_into(tmp_path / "out", guided(folder), stop)
    prune_into(tmp_path / "out", guided(folder))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert contents(tmp_path / "out") != contents(prune_into(tmp_path / "plain", plan_of(folder)).path)


def test_more_memory_is_announced_for_what_is_protected(tmp_path):
    plan = guided(saved(tmp_path / "model"), "sparsegpt")
    about = {"calibrated": True, "batch_size": 4, "length": 10, "base_bytes": 0}
    plain = estimate_memory(plan.streamed, plan.method, **about)
    more = estimate_memory(plan.streamed, plan.method, **about, protected=TEXTS)
    assert more.peak > plain.peak
    assert "the head and the logits of what is protected" in more.steps
