"""Requests as token ids, against a slow reference written from the harness's description."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from semprune.data.batches.encoding import EncodedRequest, encode_request, padding_token
from semprune.errors import ConfigurationError, PromptTooLongError

TEXTS = st.text(alphabet="Review: a warm film\n is positive", max_size=40)


def reference(
    tokenizer: PreTrainedTokenizerFast, context: str, continuation: str, max_length: int
) -> tuple[list[int], dict[int, int]]:
    """Input ids and, for each position that is read, the token that must follow.

    Blanks move one at a time; the whole sequence is walked token by token, each seeing those before it. What is too
    long loses its first token behind BOS, again and again.
    """
    while context and context[-1].isspace():
        continuation = context[-1] + continuation
        context = context[:-1]
    if context:
        whole = tokenizer.encode(context + continuation)
        scored_from = len(tokenizer.encode(context))
    else:
        whole = [tokenizer.bos_token_id, *tokenizer.encode(continuation, add_special_tokens=False)]
        scored_from = 1
    pairs = [(position - 1, whole[position]) for position in range(scored_from, len(whole))]
    inputs = whole[:-1]
    kept = 1 if inputs[:1] == [tokenizer.bos_token_id] else 0
    while len(inputs) > max_length:
        del inputs[kept]
        pairs = [(position - 1, token) for position, token in pairs]
    return inputs, dict(pairs)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(context=TEXTS, continuation=TEXTS, max_length=st.integers(20, 60))
def test_requests_equal_the_reference(
    tokenizer: PreTrainedTokenizerFast, context: str, continuation: str, max_length: int
) -> None:
    inputs, targets = reference(tokenizer, context, continuation, max_length)
    if not targets or len(targets) > max_length:
        with pytest.raises((ConfigurationError, PromptTooLongError)):
            encode_request(tokenizer, context, continuation, max_length, truncate="left")
        return
    request = encode_request(tokenizer, context, continuation, max_length, truncate="left")
    assert list(request.input_ids) == inputs
    assert dict(enumerate(request.targets, start=request.start)) == targets
    assert len(request.input_ids) == request.start + len(request.targets)


def test_a_request_by_hand(bos_tokenizer: PreTrainedTokenizerFast) -> None:
    bos = bos_tokenizer.bos_token_id
    (a, b, c, d) = (bos_tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "QZXJ")
    # "QZ" + "XJ": reads <s> Q Z X, and is asked for X after position 2 and J after position 3.
    assert encode_request(bos_tokenizer, "QZ", "XJ", 10) == EncodedRequest((bos, a, b, c), (c, d), 2)
    # One token less than fits: the first of the text is cut, BOS stays.
    assert encode_request(bos_tokenizer, "QZ", "XJ", 3, truncate="left") == EncodedRequest((bos, b, c), (c, d), 1)
    assert encode_request(bos_tokenizer, "QZ", "XJ", 2, truncate="left") == EncodedRequest((bos, c), (c, d), 0)
    assert encode_request(bos_tokenizer, "", "XJ", 10) == EncodedRequest((bos, c), (c, d), 0)


def test_blanks_move_to_the_continuation(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    moved = encode_request(plain_tokenizer, "Sentiment: ", "positive", 50)
    assert moved == encode_request(plain_tokenizer, "Sentiment:", " positive", 50)
    assert plain_tokenizer.decode(moved.targets) == " positive"


def test_an_empty_context_is_bos_or_else_eos(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    assert encode_request(plain_tokenizer, "", "X", 10).input_ids == (plain_tokenizer.bos_token_id,)
    without = PreTrainedTokenizerFast(tokenizer_object=plain_tokenizer.backend_tokenizer, eos_token="</s>")
    assert encode_request(without, "", "X", 10).input_ids == (without.eos_token_id,)
    with pytest.raises(ConfigurationError, match=r"neither\. Set bos_token"):
        encode_request(PreTrainedTokenizerFast(tokenizer_object=plain_tokenizer.backend_tokenizer), "", "X", 10)


def test_what_does_not_fit_is_refused_by_name(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(PromptTooLongError, match=r"data set 'toy', item '7': the prompt has 4 tokens, .*context is 3"):
        encode_request(plain_tokenizer, "QZX", "JJ", 3, dataset="toy", item="7")
    assert len(encode_request(plain_tokenizer, "QZX", "J", 3).input_ids) == 3
    with pytest.raises(
        PromptTooLongError, match=r"request: the continuation has 4 tokens, .* pass a larger `max_length`"
    ):
        encode_request(plain_tokenizer, "QZ", "JJJJ", 3, truncate="left")


def test_a_continuation_without_tokens_is_refused(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ConfigurationError, match="continuation '' has no tokens of its own"):
        encode_request(plain_tokenizer, "Q", "", 10)


def test_padding_is_the_padding_token_or_eos_or_0(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    assert padding_token(plain_tokenizer) == plain_tokenizer.pad_token_id
    backend = plain_tokenizer.backend_tokenizer
    assert padding_token(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")) == 1
    assert padding_token(PreTrainedTokenizerFast(tokenizer_object=backend)) == 0
