"""The adapter to lm-evaluation-harness on tiny models: what it refuses, and what a run is called."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.models import letter_tokenizer, llama
from tokenizers import processors

from semprune.backbones import Backbone, describe
from semprune.errors import ConfigurationError, NoOwnTokenError, PromptTooLongError
from semprune.evaluation.engine.loglikelihood import loglikelihood
from semprune.lm_eval import encode_token_request, model_class, name_runs, run_name

needs_harness = pytest.mark.usefixtures("harness")
LETTERS = "abcdefghijklmnopqrstuvwxyz .:"


@pytest.fixture
def harness() -> None:
    pytest.importorskip("lm_eval", reason="un-skip when lm_eval is installed: pip install semprune[bench]")


@pytest.fixture(scope="module")
def lm() -> Backbone:
    return describe(
        llama(max_position_embeddings=16), letter_tokenizer(LETTERS, bos_token="<s>", eos_token="<s>"), "tiny"
    )


def test_only_the_end_of_a_long_context_is_read() -> None:
    request = encode_token_request([1, 2, 3, 4], [5, 6], 3)
    assert (request.input_ids, request.targets, request.start) == ((3, 4, 5), (5, 6), 1)
    whole = encode_token_request([1], [5, 6, 7], 3)
    assert (whole.input_ids, whole.start) == ((1, 5, 6), 0)


def test_a_continuation_that_is_too_long_or_empty_is_refused_by_name() -> None:
    with pytest.raises(PromptTooLongError, match=r"request 'the context': the continuation has 4 tokens, .* is 3"):
        encode_token_request([1], [5, 6, 7, 8], 3, ("the context", "long"))
    with pytest.raises(NoOwnTokenError, match=r"request 'the context': the continuation '' has no tokens"):
        encode_token_request([1, 2], [], 3, ("the context", ""))


def test_an_over_long_continuation_of_a_python_call_names_no_yaml(lm: Backbone) -> None:
    with pytest.raises(PromptTooLongError, match=r"request 1: the continuation has 17 tokens.*max_length") as refused:
        loglikelihood(lm.model, lm.tokenizer, [("a", "b"), ("a", "b" * 17)])
    assert "YAML" not in str(refused.value)
    assert "truncate" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"backbone": "a/b", "masks": "runs/m.safetensors", "dtype": "float32"}, "a/b,runs/m.safetensors"),
        ("backbone=a/b,dtype=float32", "a/b"),
        ({}, "smollm2-135m"),
        ("", "smollm2-135m"),
        (None, "smollm2-135m"),
    ],
)
def test_a_run_is_called_by_its_backbone_and_masks(settings: Any, name: str) -> None:
    assert run_name(settings) == name


# Reason: the harness's own code and the libraries it imports warn about themselves.
@pytest.mark.filterwarnings("ignore")
@needs_harness
def test_the_harness_notes_that_name_and_leaves_the_names_of_other_models() -> None:
    from lm_eval.loggers.evaluation_tracker import GeneralConfigTracker

    class Tracker(GeneralConfigTracker):
        pass

    name_runs(Tracker)
    tracker = Tracker()
    for _ in range(2):  # the harness's own would be another one each time
        tracker.log_experiment_args("semprune", "backbone=a/b,masks=m", None, None, False)
        assert (tracker.model_name, tracker.model_name_sanitized) == ("a/b,m", "a__b,m")
    tracker.log_experiment_args("hf", "pretrained=gpt2", None, None, False)
    assert tracker.model_name == "gpt2"


@pytest.mark.filterwarnings("ignore")  # as above
@needs_harness
def test_the_adapter_takes_blank_contexts_and_refuses_what_the_public_call_refuses(lm: Backbone) -> None:
    adapted = model_class()(lm)
    blank, _ = adapted._loglikelihood_tokens([((" ", "ab"), [], [1, 2]), (("c", "a"), [3], [1])])
    letters = lm.tokenizer.convert_ids_to_tokens([1, 2])
    assert blank[0] == pytest.approx(loglikelihood(lm.model, lm.tokenizer, [("", "".join(letters))])[0][0])
    with pytest.raises(NoOwnTokenError, match="'c'"):
        adapted._loglikelihood_tokens([(("c", ""), [3], [])])
    with pytest.raises(PromptTooLongError, match="17 tokens"):
        adapted._loglikelihood_tokens([(("c", "a" * 17), [3], [1] * 17)])
    ending = letter_tokenizer(LETTERS, bos_token="<s>", eos_token="<s>")
    ending.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <s>", special_tokens=[("<s>", 0)]
    )
    said = re.escape("adds special tokens after a text")
    with pytest.raises(ConfigurationError, match=said):
        loglikelihood(lm.model, ending, [("a", "b")])
    with pytest.raises(ConfigurationError, match=said):
        model_class()(describe(lm.model, ending, "ending"))
