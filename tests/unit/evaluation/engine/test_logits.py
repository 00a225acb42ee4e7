"""The gathered head: only what is asked for, the model's own numbers, and nothing left behind."""

from __future__ import annotations

import pytest
import torch

from semprune.errors import CaptureError
from semprune.evaluation.engine.causal_lm import evaluating
from semprune.evaluation.engine.logits import logits_at
from semprune.evaluation.engine.token_logprobs import token_logprobs

VOCABULARY = 97
ROWS = [[5, 9, 33, 2, 71, 8, 4], [6, 1, 90]]


def padded(rows):
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def test_gathered_logits_are_the_models_own(model):
    ids, mask = padded(ROWS)
    rows, positions = torch.tensor([0, 0, 1]), torch.tensor([6, 2, 1])
    with torch.no_grad():
        full = model(input_ids=ids, attention_mask=mask).logits
        [chunk] = logits_at(model, ids, mask, rows, positions)
    assert chunk.shape == (3, VOCABULARY)
    torch.testing.assert_close(chunk, full[rows, positions], rtol=0, atol=1e-5)


def test_soft_capping_of_the_model_applies(tiny_model):
    gemma = tiny_model("gemma2")
    ids, mask = padded(ROWS)
    [chunk] = logits_at(gemma, ids, mask, torch.tensor([0]), torch.tensor([3]))
    assert chunk.abs().max() <= 2.0  # final_logit_softcapping
    raw = []
    handle = gemma.lm_head.register_forward_hook(lambda *event: raw.append(event[2]))
    gemma(input_ids=ids, attention_mask=mask)
    handle.remove()
    assert raw[0].abs().max() > 4.0  # so the cap is at work


def test_chunks_of_the_vocabulary_budget_give_the_same_log_probabilities(model, reference_logprobs):
    ids, mask = padded(ROWS)
    rows = torch.tensor([0, 1, 0, 0, 1, 0])
    positions = torch.tensor([4, 1, 0, 4, 0, 6])
    targets = torch.tensor([3, 50, 11, 96, 7, 0])
    whole, whole_greedy = token_logprobs(model, ids, mask, rows, positions, targets)
    split, split_greedy = token_logprobs(model, ids, mask, rows, positions, targets, elements=2 * VOCABULARY)
    torch.testing.assert_close(split, whole, rtol=0, atol=1e-5)
    assert split_greedy.tolist() == whole_greedy.tolist()
    for index in range(6):
        expected = reference_logprobs(model, ROWS[rows[index]])[positions[index]]
        assert split[index].item() == pytest.approx(expected[targets[index]].item(), abs=1e-5)
        assert bool(split_greedy[index]) == (int(expected.argmax()) == int(targets[index]))


def test_later_chunks_never_exceed_the_budget_and_cost_no_second_body(model):
    ids, mask = padded(ROWS)
    rows, positions = torch.zeros(7, dtype=torch.long), torch.arange(7)
    tokens_through_body = []
    embedding = model.get_input_embeddings()
    handle = embedding.register_forward_hook(lambda _, arguments, __: tokens_through_body.append(arguments[0].numel()))
    sizes = [len(chunk) for chunk in logits_at(model, ids, mask, rows, positions, elements=3 * VOCABULARY)]
    handle.remove()
    assert sizes == [3, 3, 1]
    assert tokens_through_body[0] == ids.numel()
    # a soft-capped model replays its forward on one token per later chunk, others run the head alone
    assert tokens_through_body[1:] == ([1, 1] if "Gemma2" in type(model).__name__ else [])


def test_hooks_are_gone_afterwards_also_after_an_error(llama):
    ids, mask = padded(ROWS)
    with pytest.raises(IndexError):
        list(logits_at(llama, ids, mask, torch.tensor([9]), torch.tensor([0])))
    list(logits_at(llama, ids, mask, torch.tensor([0]), torch.tensor([0])))
    assert not llama.lm_head._forward_pre_hooks
    assert not llama.lm_head._forward_hooks
    assert llama(input_ids=ids).logits.shape == (2, 7, VOCABULARY)


def test_a_model_without_a_head_is_refused(llama):
    ids, mask = padded(ROWS)
    with pytest.raises(CaptureError, match="no output embeddings"):
        list(logits_at(llama.model, ids, mask, torch.tensor([0]), torch.tensor([0])))


def test_a_head_that_the_forward_never_runs_is_refused(llama, monkeypatch):
    ids, mask = padded(ROWS)
    stray = torch.nn.Linear(32, VOCABULARY)
    monkeypatch.setattr(llama, "get_output_embeddings", lambda: stray)
    with pytest.raises(CaptureError, match="ran 0 times"):
        list(logits_at(llama, ids, mask, torch.tensor([0]), torch.tensor([0])))
    assert not stray._forward_pre_hooks


def test_evaluating_restores_each_modules_mode(tiny_model):
    model = tiny_model("llama")
    model.model.layers[1].train()
    before = [module.training for module in model.modules()]

    def fail():
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert [module.training for module in model.modules()] == before
    assert any(before)


def test_half_precision_models_are_normalised_in_fp32(llama, tiny_model):
    half = tiny_model("llama").to(torch.bfloat16)
    ids, mask = padded(ROWS)
    rows, positions = torch.zeros(VOCABULARY, dtype=torch.long), torch.full((VOCABULARY,), 3)
    logprobs, _ = token_logprobs(half, ids, mask, rows, positions, torch.arange(VOCABULARY))
    assert logprobs.dtype == torch.float32
    assert logprobs.double().exp().sum().item() == pytest.approx(1.0, abs=1e-6)  # bf16 sums would be off by 1e-3
