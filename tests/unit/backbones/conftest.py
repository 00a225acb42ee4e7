"""Tiny random models, and a tokenizer of eleven words."""

import pytest
import tokenizers
import torch
import transformers
from transformers import PreTrainedTokenizerFast

WORDS = ["<pad>", "<s>", "</s>", "the", "cat", "sat", "on", "a", "mat", "not", "?"]
WIDTH = 24
SIZE = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def _make_model(architecture, **changes):
    """Return a random model in evaluation mode; the same one every time."""
    cls = getattr(transformers, architecture)
    own = {"n_inner": WIDTH} if architecture == "GPT2LMHeadModel" else {"intermediate_size": WIDTH}
    heads = {} if architecture == "GPT2LMHeadModel" else {"num_key_value_heads": 1, "head_dim": 8}
    torch.manual_seed(0)
    return cls(cls.config_class(**{**SIZE, **own, **heads, **changes})).eval()


@pytest.fixture
def make_model():
    return _make_model


@pytest.fixture
def tokenizer():
    model = tokenizers.models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="?")
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="?"
    )


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
