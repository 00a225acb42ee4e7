"""Perplexity against full float64 logits, and its interval against a closed form."""

from __future__ import annotations

import math

import pytest
import torch
from benchmarks.perplexity import perplexity_interval

from semprune.errors import NonFiniteError, SettingError, UnknownTokenError
from semprune.evaluation.engine.logits import LOGIT_ELEMENTS
from semprune.evaluation.perplexity import perplexity


def sequences(count=5, length=12, seed=0):
    return torch.randint(0, 97, (count, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_value_and_sequence_means_equal_the_float64_reference(model, batch_size, reference_logprobs):
    ids = sequences()
    value, nll = perplexity(model, ids, batch_size=batch_size)
    expected = []
    for row in ids.tolist():
        logprobs = reference_logprobs(model, row)
        expected.append(-sum(logprobs[t, row[t + 1]].item() for t in range(len(row) - 1)) / (len(row) - 1))
    assert nll.tolist() == pytest.approx(expected, abs=1e-5)
    assert value == pytest.approx(math.exp(sum(expected) / len(expected)), rel=1e-5)


def test_only_what_stands_behind_the_special_tokens_is_predicted(model, reference_logprobs):
    ids = sequences(2, 6)
    _, nll = perplexity(model, ids, first=2)
    for row, value in zip(ids.tolist(), nll.tolist(), strict=True):
        logprobs = reference_logprobs(model, row)
        assert value == pytest.approx(-sum(logprobs[t - 1, row[t]].item() for t in (2, 3, 4, 5)) / 4, abs=1e-5)
    assert torch.equal(perplexity(model, ids, first=1)[1], perplexity(model, ids)[1])
    for first in (0, 6):
        with pytest.raises(SettingError, match="first must be a position from 1 to 5"):
            perplexity(model, ids, first=first)


def test_bounded_chunks_give_the_same_perplexity(model, monkeypatch):
    ids = sequences()
    value, nll = perplexity(model, ids, batch_size=2)
    monkeypatch.setitem(LOGIT_ELEMENTS, "cpu", 4 * 97)
    sizes = []
    handle = model.lm_head.register_forward_hook(lambda _, __, output: sizes.append(output.shape[1]))
    again, again_nll = perplexity(model, ids, batch_size=2)
    handle.remove()
    assert sizes == [4, 4, 4, 4, 4, 2] * 2 + [4, 4, 3]  # 2 × 11, 2 × 11 and 1 × 11 positions
    assert again == pytest.approx(value, rel=1e-6)
    torch.testing.assert_close(again_nll, nll, rtol=0, atol=1e-6)


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary(tiny_model):
    blank = tiny_model("llama")
    blank.lm_head.weight.zero_()
    assert perplexity(blank, sequences())[0] == pytest.approx(97.0, rel=1e-6)


def test_interval_is_the_bootstrap_over_sequences():
    nll = torch.randn(300, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.4 + 3
    low, high = perplexity_interval(nll, resamples=4000, seed=0)
    half = 1.96 * nll.std(correction=0).item() / math.sqrt(300)
    assert math.log(low) == pytest.approx(nll.mean().item() - half, abs=0.006)
    assert math.log(high) == pytest.approx(nll.mean().item() + half, abs=0.006)
    one_document = perplexity_interval(nll, documents=["a"] * 300, resamples=50)
    assert one_document.low == pytest.approx(one_document.high)


@pytest.mark.parametrize("shape", [(0, 12), (3, 1), (12,)])
def test_nothing_to_predict_is_an_error(llama, shape):
    with pytest.raises(SettingError, match="at least two tokens"):
        perplexity(llama, torch.zeros(shape, dtype=torch.long))


def test_broken_weights_are_an_error(tiny_model):
    broken = tiny_model("llama")
    broken.lm_head.weight.fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="negative log-likelihood"):
        perplexity(broken, sequences())


def test_tokens_that_the_model_does_not_know_are_named(llama):
    with pytest.raises(UnknownTokenError, match="token id 97"):
        perplexity(llama, torch.tensor([[1, 97, 2]]))
