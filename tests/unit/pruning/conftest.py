"""Tiny random models and calibration sequences."""

import pytest
import torch
from tests import models


def _llama(**changes):
    return models.llama(**{"num_attention_heads": 4, "num_key_value_heads": 2, **changes})


@pytest.fixture
def make_llama():
    return _llama


@pytest.fixture
def llama():
    return _llama()


@pytest.fixture
def gpt2():
    return models.gpt2(bos_token_id=1, eos_token_id=2)


@pytest.fixture
def input_ids():
    return torch.randint(3, 40, (5, 12), generator=torch.Generator().manual_seed(1))
