"""Tiny random models and an independent, slow reference for log-likelihoods."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.models import LLAMA, gpt2, llama, random_model

from semprune.data.batches.batching import EncodedItem
from semprune.data.batches.encoding import EncodedRequest
from semprune.types import Item

_VOCABULARY = 97
_LLAMA_LIKE = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


def _tiny_model(kind: str, seed: int = 0):
    if kind == "llama":
        model = llama(seed, **_LLAMA_LIKE)
    elif kind == "gemma2":
        own = {"final_logit_softcapping": 2.0, "sliding_window": 64}
        model = random_model("Gemma2ForCausalLM", seed, **LLAMA | _LLAMA_LIKE | own)
    else:
        model = gpt2(seed, vocab_size=_VOCABULARY, n_embd=32, n_inner=None, n_head=4, n_positions=64)
    return model.requires_grad_(False)


def _reference_logprobs(model, row: list[int]) -> torch.Tensor:
    """log p of every token of a row at every position: full logits, alone in its batch, in float64."""
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        return exact(input_ids=torch.tensor([row])).logits[0].double().log_softmax(-1)


@pytest.fixture(scope="session", params=["llama", "gpt2", "gemma2"])
def model(request):
    return _tiny_model(request.param)


@pytest.fixture(scope="session", name="llama")
def llama_model():
    return _tiny_model("llama")


@pytest.fixture(scope="session")
def tiny_model():
    return _tiny_model


@pytest.fixture(scope="session")
def reference_logprobs():
    return _reference_logprobs


def _batch_of(rows, requests, items=None):
    """Encoded items; rows of token ids; requests as (row, start, targets, item)."""
    own = [[] for _ in range(1 + max(request[3] for request in requests))]
    for row, start, targets, item in requests:
        own[item].append(EncodedRequest(tuple(rows[row][: start + len(targets)]), tuple(targets), start))
    made = [Item("toy", str(i), str(i), (("c", " x"),) * len(choices), 0, "plain") for i, choices in enumerate(own)]
    return [EncodedItem(item, tuple(choices), (), ()) for item, choices in zip(items or made, own, strict=True)]


@pytest.fixture(scope="session")
def batch_of():
    return _batch_of


def _reference_score(model, context, continuation):
    """(sum of log p, is greedy) of a continuation, from full float64 logits."""
    logprobs = _reference_logprobs(model, (context + continuation)[:-1])
    steps = list(zip(range(len(context) - 1, len(context) + len(continuation) - 1), continuation, strict=True))
    total = sum(logprobs[position, token].item() for position, token in steps)
    return total, all(int(logprobs[position].argmax()) == token for position, token in steps)


@pytest.fixture(scope="session")
def reference_score():
    return _reference_score
