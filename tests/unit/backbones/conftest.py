"""Tiny random models, and a tokenizer of eleven words."""

import pytest
import torch
from tests.models import word_tokenizer
from tests.unit.backbones import tiny
from tokenizers import pre_tokenizers

WORDS = ["<pad>", "<s>", "</s>", "the", "cat", "sat", "on", "a", "mat", "not", "?"]


def _make_model(architecture, variant=None, **changes):
    """Return a random model that knows the tokenizer's words."""
    return tiny.make_model(architecture, variant, vocab_size=len(WORDS), **changes)


@pytest.fixture
def make_model():
    return _make_model


@pytest.fixture
def tokenizer():
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "?"}
    return word_tokenizer(WORDS, "?", pre_tokenizers.Whitespace(), **special)


@pytest.fixture(params=["LlamaForCausalLM", "GPT2LMHeadModel"])
def model(request):
    return _make_model(request.param)


@pytest.fixture
def llama():
    return _make_model("LlamaForCausalLM")


@pytest.fixture
def input_ids():
    return torch.tensor([[1, 3, 4, 5, 6], [1, 7, 8, 9, 2], [3, 3, 4, 4, 5]])  # [3 sequences, 5 tokens]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
