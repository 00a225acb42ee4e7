"""Tiny random models and calibration sequences."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

VOCABULARY = 40


def _llama(**changes):
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    own = {"vocab_size": VOCABULARY, "num_key_value_heads": 2, "max_position_embeddings": 32}
    return LlamaForCausalLM(LlamaConfig(**{**size, **own, "initializer_range": 0.3, **changes})).eval()


@pytest.fixture
def make_llama():
    return _llama


@pytest.fixture
def llama():
    return _llama()


@pytest.fixture
def gpt2():
    torch.manual_seed(0)
    size = {"n_embd": 16, "n_inner": 24, "n_layer": 2, "n_head": 2, "n_positions": 32, "initializer_range": 0.3}
    special = {"bos_token_id": 1, "eos_token_id": 2}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **size, **special)).eval()


@pytest.fixture
def input_ids():
    return torch.randint(3, VOCABULARY, (5, 12), generator=torch.Generator().manual_seed(1))
