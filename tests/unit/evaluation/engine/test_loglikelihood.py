"""loglikelihood on any model and tokenizer: order, rules of the harness, sharing of rows."""

from __future__ import annotations

import pytest
import torch
from tests.models import letter_tokenizer

from semprune.data.subject import context_length
from semprune.errors import ConfigurationError, PromptTooLongError
from semprune.evaluation.engine.loglikelihood import loglikelihood

LETTERS = "abcdefghijklmnopqrstuvwxyz ."


@pytest.fixture(scope="module")
def tokenizer():
    """One token per character: token ids can be read off the text."""
    return letter_tokenizer(LETTERS, ("<s>", "</s>"), bos_token="<s>", eos_token="</s>")


def tokens(text):
    return [LETTERS.index(letter) + 2 for letter in text]


REQUESTS = [
    ("the film was", " good"),
    ("the film was", " bad"),
    ("x", "y"),
    ("the film was", " "),
    ("a much longer context than that of the others", " indeed it is."),
    ("the film was", " good and long"),
]


@pytest.mark.parametrize("token_budget", [1, 64, 4096])
def test_every_request_equals_the_float64_reference_in_order(model, tokenizer, token_budget, reference_score):
    got = loglikelihood(model, tokenizer, REQUESTS, token_budget=token_budget)
    expected = [reference_score(model, tokens(context), tokens(continuation)) for context, continuation in REQUESTS]
    assert [value for value, _ in got] == pytest.approx([value for value, _ in expected], abs=1e-5)
    assert [flag for _, flag in got] == [flag for _, flag in expected]


def test_greedy_continuation_is_found(llama, tokenizer, reference_logprobs):
    text = "the film"
    for _ in range(2):
        text += LETTERS[int(reference_logprobs(llama, tokens(text))[-1][2:30].argmax())]
    greedy = [flag for _, flag in loglikelihood(llama, tokenizer, [("the film", text[8:]), ("the film", "zzz")])]
    best = [int(reference_logprobs(llama, tokens(text[:8]))[-1].argmax())]
    best.append(int(reference_logprobs(llama, tokens(text[:9]))[-1].argmax()))
    assert greedy == [best == tokens(text[8:]), False]


def test_rules_for_blanks_empty_contexts_and_long_contexts(llama, tokenizer, reference_score):
    moved, kept = loglikelihood(llama, tokenizer, [("the film ", "was"), ("the film", " was")])
    assert moved[0] == pytest.approx(kept[0], abs=1e-6)
    [(value, _)] = loglikelihood(llama, tokenizer, [("", "good")])
    assert value == pytest.approx(reference_score(llama, [0], tokens("good"))[0], abs=1e-5)  # <s> is 0
    # five tokens can be read: the last 5 + 1 of context and continuation remain, the final one is no input
    [(value, _)] = loglikelihood(llama, tokenizer, [("the film was", " ok")], max_length=5)
    assert value == pytest.approx(reference_score(llama, tokens("was"), tokens(" ok"))[0], abs=1e-5)


def test_nothing_to_score_is_an_error(llama, tokenizer):
    with pytest.raises(ConfigurationError, match="no tokens of its own"):
        loglikelihood(llama, tokenizer, [("the film was", "")])
    with pytest.raises(PromptTooLongError):
        loglikelihood(llama, tokenizer, [("x", "abcdefgh")], max_length=5)
    assert loglikelihood(llama, tokenizer, []) == []


def test_requests_that_begin_alike_cost_one_row(llama, tokenizer):
    rows = []
    hook = llama.get_input_embeddings().register_forward_hook(lambda _, arguments, __: rows.append(arguments[0].shape))
    loglikelihood(llama, tokenizer, [("the film was ", letter) for letter in LETTERS[:26]])
    hook.remove()
    assert rows == [(1, 13)]  # "the film was" and the blank; no letter is ever an input


def test_context_length_is_what_the_configuration_says(llama, tiny_model, tokenizer):
    assert context_length(llama, tokenizer) == 64
    assert context_length(tiny_model("gpt2"), tokenizer) == 64

    class Nameless:
        class config:
            @staticmethod
            def get_text_config():
                return object()

    assert context_length(Nameless, tokenizer) == 2048  # its tokenizer says 1e30
    assert context_length(Nameless, type("Limited", (), {"model_max_length": 77})) == 77


def test_the_model_is_left_as_it_was(tiny_model, tokenizer):
    model = tiny_model("gpt2").train()
    loglikelihood(model, tokenizer, REQUESTS[:1])
    assert all(module.training for module in model.modules())
    assert not model.lm_head._forward_pre_hooks
    assert torch.is_grad_enabled()
