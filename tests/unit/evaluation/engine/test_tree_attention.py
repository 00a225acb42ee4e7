"""Which models read trees: exactly those that give every text the log-probabilities that it has alone."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.unit.backbones import tiny

from semprune.data.batches.encoding import EncodedRequest
from semprune.evaluation.engine.packing import pack, score_packed
from semprune.evaluation.engine.prefix_tree import grow_trees
from semprune.evaluation.engine.tree_attention import ARCHITECTURES, reads_trees

# Twelve tokens of context, longer than every window of the tiny models (3); branches inside of choices too.
CONTEXT = (5, 9, 33, 2, 7, 8, 11, 3, 4, 6, 12, 31)
TEXTS = [(*CONTEXT, 1, 2, 3), (*CONTEXT, 1, 4, 5, 6), (*CONTEXT, 20, 21), (*CONTEXT[:9], 30, 31, 32, 33), (8, 9, 10)]
REQUESTS = [EncodedRequest(text, tuple((token * 7 + 3) % 40 for token in text), 0) for text in TEXTS]


def trees():
    return sorted(grow_trees(REQUESTS, branching=True), key=lambda tree: -len(tree.tokens))


def alone(model):
    """Summed log-probability of each request's targets, one text per forward, from full logits."""
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor([text]), use_cache=False).logits[0] for text in TEXTS]
    picked = (
        values.double().log_softmax(-1).gather(1, torch.tensor(request.targets)[:, None]).sum()
        for values, request in zip(logits, REQUESTS, strict=True)
    )
    return torch.stack(list(picked))


def in_trees(model):
    batch = pack(trees(), REQUESTS, 0)
    assert batch.trees is not None
    scored = score_packed(model, batch)
    assert scored.requests == tuple(range(len(REQUESTS)))
    return torch.tensor(scored.sums, dtype=torch.float64)


@pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)
def test_a_model_that_reads_trees_scores_them_as_texts_and_no_other_could(architecture, variant):
    model = tiny.make_model(architecture, variant)
    if reads_trees(model):
        torch.testing.assert_close(in_trees(model), alone(model), rtol=0, atol=1e-4)
    else:  # either its forward refuses, or the numbers are wrong: it is rightly not in ARCHITECTURES
        try:
            assert (in_trees(model) - alone(model)).abs().max() > 1e-2
        except (ValueError, RuntimeError, TypeError):
            return


@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "GPT2LMHeadModel", "Qwen2ForCausalLM"])
def test_eager_attention_reads_trees_too(architecture):
    model = tiny.make_model(architecture, attn_implementation="eager")
    assert reads_trees(model)
    torch.testing.assert_close(in_trees(model), alone(model), rtol=0, atol=1e-4)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_half_precision_and_autocast_read_trees_too(implementation):
    exact = alone(tiny.make_model("LlamaForCausalLM"))
    model = tiny.make_model("LlamaForCausalLM", attn_implementation=implementation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = in_trees(model)
    torch.testing.assert_close(mixed, exact, rtol=0.02, atol=0)
    torch.testing.assert_close(in_trees(model.to(torch.bfloat16)), exact, rtol=0.02, atol=0)


def test_the_difference_is_rounding():
    model = tiny.make_model("GPT2LMHeadModel").double()  # others work in fp32 in places
    torch.testing.assert_close(in_trees(model), alone(model), rtol=0, atol=1e-10)


def test_every_listed_class_is_tried():
    assert set(tiny.ARCHITECTURES) >= ARCHITECTURES


def test_what_is_unknown_reads_one_text_per_row():
    model = tiny.make_model("LlamaForCausalLM")
    assert reads_trees(model)
    assert not reads_trees(torch.nn.Linear(1, 1))
    for name, value in {"_attn_implementation": "flash_attention_2", "layer_types": ["chunked_attention"]}.items():
        other = copy.copy(model)
        other.config = type("Config", (), {"_attn_implementation": "sdpa", name: value})()
        assert not reads_trees(other)
    assert not reads_trees(type("MyLlamaForCausalLM", (type(model),), {})(model.config))
