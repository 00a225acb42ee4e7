"""The engine: every request once, shared tokens computed once, and memory that runs out is no end."""

from __future__ import annotations

import logging

import pytest
import torch

from semprune.data.batches.encoding import EncodedRequest
from semprune.errors import OutOfMemoryError, SettingError, UnknownTokenError
from semprune.evaluation.engine.request_scorer import Engine
from semprune.evaluation.predictions.scorer import Scorer

CONTEXT = tuple(range(1, 11))
REQUESTS = [EncodedRequest((*CONTEXT, first, 50), (first, 50, 7), 9) for first in (20, 21, 22)] + [
    EncodedRequest((token,) * 4, (token, 3), 2) for token in (60, 61)
]


def scores(engine):
    found = {}
    for scored in engine.score(REQUESTS):
        found.update(zip(scored.requests, scored.sums, strict=True))
    return [found[index] for index in range(len(REQUESTS))]


def expected(model, reference_logprobs):
    made = []
    for request in REQUESTS:
        logprobs = reference_logprobs(model, list(request.input_ids))[request.start :]
        made.append(sum(logprobs[step, token].item() for step, token in enumerate(request.targets)))
    return made


@pytest.mark.parametrize("token_budget", [1, 12, 20, "auto"])
def test_every_budget_gives_the_float64_reference(model, token_budget, reference_logprobs):
    assert scores(Engine(model, 0, token_budget)) == pytest.approx(expected(model, reference_logprobs), abs=1e-5)


def test_shared_tokens_are_computed_once(llama):
    seen = []
    hook = llama.get_input_embeddings().register_forward_hook(lambda _, arguments, __: seen.append(arguments[0].shape))
    engine = Engine(llama, 0)
    scores(engine)
    hook.remove()
    assert seen == [(1, 24)]  # the context and three branches of two tokens, and behind them both short texts
    cost = engine.throughput
    assert (cost.requests, cost.tokens, cost.read, cost.halved) == (5, 16 + 2 * 4, 3 * 12 + 2 * 4, 0)
    assert cost.logits == 1 + 3 * 2 + 2 * 2  # the context's last position serves three continuations
    assert cost.tokens_per_second == pytest.approx(24 / cost.seconds)


class Small:
    """A model on a device that holds few tokens at once."""

    def __init__(self, model, room, error):
        self.__class__ = type(type(model).__name__, (Small,), {})  # the engine knows models by their class
        self.model, self.config, self.dtype = model, model.config, model.dtype
        self.room, self.error = room, error
        self.tried = []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, **inputs):
        self.tried.append(inputs["input_ids"].numel())
        if self.tried[-1] > self.room:
            raise self.error
        return self.model(**inputs)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_a_budget_that_is_too_large_is_halved_and_every_request_is_scored(llama, error, caplog, reference_logprobs):
    small = Small(llama, 13, error)
    engine = Engine(small, 0)
    with caplog.at_level(logging.WARNING, logger="semprune.evaluation"):
        assert scores(engine) == pytest.approx(expected(llama, reference_logprobs), abs=1e-5)
    assert small.tried[0] == 24  # then 12 fit
    assert max(small.tried[1:]) <= 12
    assert (engine.throughput.halved, engine.throughput.token_budget) == (1, 12)
    assert "memory ran out at 1024 tokens, going on with 12" in caplog.text
    assert engine.throughput.requests == len(REQUESTS)


def test_a_request_that_is_too_large_alone_and_a_fixed_budget_are_errors(llama):
    with pytest.raises(OutOfMemoryError, match=r"batch of 12 tokens .* alone is too large"):
        scores(Engine(Small(llama, 11, MemoryError()), 0))
    with pytest.raises(OutOfMemoryError, match="Pass token_budget='auto'"):
        scores(Engine(Small(llama, 13, MemoryError()), 0, 100))


def test_other_errors_are_not_taken_for_memory(llama):
    with pytest.raises(RuntimeError, match="shapes"):
        scores(Engine(Small(llama, 0, RuntimeError("shapes do not match")), 0))


def test_a_budget_must_be_a_number_of_tokens(llama):
    for budget in (0, "most"):
        with pytest.raises(SettingError, match="or auto"):
            Engine(llama, 0, budget)
    assert list(Engine(llama, 0).score([])) == []


def test_a_scorer_remembers_what_fits_from_batch_to_batch(llama, batch_of):
    small = Small(llama, 13, MemoryError())
    rows = [list(request.input_ids) for request in REQUESTS]
    batch = batch_of(rows, [(row, request.start, list(request.targets), 0) for row, request in enumerate(REQUESTS)])
    scorer = Scorer()
    [first], [second] = scorer.update(small, batch), scorer.update(small, batch)
    assert first.scores == pytest.approx(second.scores, abs=1e-6)
    assert sum(tokens > 13 for tokens in small.tried) == 1


@pytest.mark.parametrize(
    "request_", [EncodedRequest((1, 97), (2,), 1), EncodedRequest((1, 2), (97,), 1), EncodedRequest((-1, 2), (3,), 1)]
)
def test_tokens_that_the_model_does_not_know_are_named(llama, request_):
    with pytest.raises(UnknownTokenError, match=r"token id (97|-1) is none of the model's, which go from 0 to 96"):
        list(Engine(llama, padding=0).score([REQUESTS[0], request_]))
