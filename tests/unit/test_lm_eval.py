"""What the adapter does without the harness; with it: tests/integration/test_lm_eval.py."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semprune.errors import ConfigurationError
from semprune.lm_eval import encode_token_request, model_class, usable_device

TOKENS = st.lists(st.integers(0, 9), min_size=1, max_size=6)


@settings(deadline=None)
@given(TOKENS, TOKENS, st.integers(6, 12))
def test_token_requests_keep_the_end_and_predict_the_continuation(context, continuation, max_length):
    request = encode_token_request(context, continuation, max_length)
    assert len(request.input_ids) <= max_length
    assert (*request.input_ids, continuation[-1]) == tuple(context + continuation)[-(max_length + 1) :]
    # the token after position start + k is the k-th target
    whole = (*request.input_ids, continuation[-1])
    assert whole[request.start + 1 :] == request.targets == tuple(continuation)


def test_a_harness_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.models.huggingface", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'semprune\[bench\]'"):
        model_class.__wrapped__()  # past the cache: the class may be registered already


def test_the_harnesss_default_device_needs_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [usable_device(device) for device in (None, "cuda:0", "cpu", "mps")] == ["cpu", "cpu", "cpu", "mps"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert usable_device("cuda:0") == "cuda:0"
