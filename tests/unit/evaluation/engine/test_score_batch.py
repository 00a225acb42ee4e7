"""Scores against full logits in float64, whatever shares a row or is padded beside it."""

from __future__ import annotations

import pytest
import torch

from semprune.errors import NonFiniteError
from semprune.evaluation.engine.loglikelihood import score_encoded
from semprune.evaluation.engine.request_scorer import Engine
from semprune.evaluation.predictions.score_items import score_items


def score_batch(model, items):
    """Sums and greedy flags of all requests of some items."""
    scored = score_encoded(Engine(model, 0), [request for item in items for request in item.requests])
    return torch.tensor([total for total, _ in scored], dtype=torch.float64), torch.tensor([flag for _, flag in scored])


CONTEXT, OTHER = [5, 9, 33, 2], [6, 1, 90, 14, 3, 3, 61, 27]


def test_sums_equal_the_float64_reference_score(model, reference_logprobs, batch_of, reference_score):
    best = int(reference_logprobs(model, CONTEXT)[-1].argmax())
    pairs = [(CONTEXT, [7, 8, 9]), (OTHER, [4]), (CONTEXT, [best]), (CONTEXT, [best, 96])]
    rows = [(context + continuation)[:-1] for context, continuation in pairs]
    requests = [(i, len(context) - 1, continuation, 0) for i, (context, continuation) in enumerate(pairs)]
    sums, greedy = score_batch(model, batch_of(rows, requests))
    expected = [reference_score(model, *pair) for pair in pairs]
    assert sums.dtype == torch.float64
    assert sums.tolist() == pytest.approx([total for total, _ in expected], abs=1e-5)
    assert greedy.tolist() == [flag for _, flag in expected]
    assert greedy[2]


def test_padding_beside_longer_rows_changes_nothing(model, batch_of):
    request = (0, 3, [7, 8, 9], 0)
    alone, _ = score_batch(model, batch_of([[*CONTEXT, 7, 8]], [request]))
    beside, _ = score_batch(model, batch_of([[*CONTEXT, 7, 8], OTHER * 4], [request, (1, 31, [5], 0)]))
    assert beside[0].item() == pytest.approx(alone[0].item(), abs=1e-5)


def test_single_token_choices_on_one_row_equal_separate_rows(model, batch_of, reference_score):
    choices = [11, 50, 96]
    shared, shared_greedy = score_batch(model, batch_of([CONTEXT], [(0, 3, [c], 0) for c in choices]))
    separate, separate_greedy = score_batch(
        model, batch_of([CONTEXT] * 3, [(row, 3, [c], 0) for row, c in enumerate(choices)])
    )
    assert shared.tolist() == pytest.approx(separate.tolist(), abs=1e-5)
    assert shared.tolist() == pytest.approx([reference_score(model, CONTEXT, [c])[0] for c in choices], abs=1e-5)
    assert shared_greedy.tolist() == separate_greedy.tolist()


def test_train_mode_of_the_caller_is_respected_but_never_used(tiny_model, batch_of):
    model = tiny_model("gpt2")  # dropout 0.1 in train mode
    batch = batch_of([CONTEXT], [(0, 3, [7], 0)])
    expected, _ = score_batch(model, batch)
    model.train()
    first, _ = score_batch(model, batch)
    assert first.item() == pytest.approx(expected.item(), abs=1e-6)
    assert model.training


def test_nan_weights_are_an_error_not_a_score(tiny_model, batch_of):
    model = tiny_model("llama")
    model.lm_head.weight[3].fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="log-likelihood in 'toy'"):
        score_items(Engine(model, 0), batch_of([CONTEXT], [(0, 3, [7], 0)]))


def test_the_first_of_equally_likely_tokens_is_the_greedy_one(tiny_model, batch_of):
    model = tiny_model("llama")
    best = int(model(input_ids=torch.tensor([CONTEXT])).logits[0, -1].argmax())
    twin = (best + 40) % 97
    model.lm_head.weight[twin] = model.lm_head.weight[best]
    first, second = sorted((best, twin))
    sums, greedy = score_batch(model, batch_of([CONTEXT], [(0, 3, [first], 0), (0, 3, [second], 0)]))
    assert sums[0] == sums[1]
    assert greedy.tolist() == [True, False]


def test_a_rank_without_items_scores_nothing(model):
    assert score_items(Engine(model, 0), []) == []


def test_items_have_the_sums_of_their_requests_to_the_bit(model, batch_of):
    rows = [[*CONTEXT, 7, 8], OTHER * 4]
    items = batch_of(rows, [(0, 3, [7, 8, 9], 0), (0, 3, [7], 0), (1, 31, [5], 1), (1, 20, [2], 1)])
    sums, _ = score_batch(model, items)
    assert [score for made in score_items(Engine(model, 0), items) for score in made.scores] == sums.tolist()
