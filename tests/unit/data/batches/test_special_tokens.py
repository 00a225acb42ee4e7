"""What tokenizers put around a text, once, whatever its form: BOS, several tokens, EOS, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.models import byte_level_tokenizer
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from semprune.data.batches.encoding import encode_request
from semprune.data.batches.special_tokens import (
    check_tokenizer,
    encode,
    opening_length,
    special_tokens,
    spelled,
    start_tokens,
    window_prefix,
)
from semprune.data.prompts.chat import as_chat
from semprune.errors import ConfigurationError, PromptTooLongError, SettingError
from semprune.types import Item

FORMS = {
    "plain": ("$A", (), ()),
    "bos": ("<s> $A", (0,), ()),
    "both": ("<s> $A </s>", (0,), (1,)),
    "eos": ("$A </s>", (), (1,)),
    "glm": ("[gMASK] <sop> $A", (0, 1), ()),
}
PAIR, NONE = ("<s>", "</s>"), {"bos_token": None}


def made(form: str) -> PreTrainedTokenizerFast:
    """A tokenizer of one form; GLM's has no ``bos_token``."""
    tokens = ("[gMASK]", "<sop>", "<user>", "<eop>") if form == "glm" else PAIR
    around = processors.TemplateProcessing(
        single=FORMS[form][0], special_tokens=[(token, place) for place, token in enumerate(tokens)]
    )
    return byte_level_tokenizer(["a quick fox"], 300, tokens, around=around, **(NONE if form == "glm" else {}))


@pytest.mark.parametrize("form", FORMS)
def test_what_a_tokenizer_adds_is_seen(form: str) -> None:
    tokenizer, (_, prefix, suffix) = made(form), FORMS[form]
    found = special_tokens(tokenizer)
    assert (found.prefix, found.suffix) == (prefix, suffix)
    if suffix:
        with pytest.raises(ConfigurationError, match="adds special tokens after a text"):
            check_tokenizer(tokenizer)
    else:
        check_tokenizer(tokenizer)


def test_a_change_of_the_tokenizer_is_seen() -> None:
    tokenizer = made("plain")
    tokenizer.add_bos_token = True
    assert special_tokens(tokenizer).prefix == (0,)


def test_a_tokenizer_that_changes_the_text_is_refused() -> None:
    class Odd:
        def __call__(self, text: str, add_special_tokens: bool = True, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": [0, 8] if add_special_tokens else [7]}

    with pytest.raises(ConfigurationError, match=r"tokenizer Odd .*\[0, 8\] instead of \[7\]"):
        special_tokens(Odd())  # type: ignore[arg-type]  # as far as it is asked


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("bos", "<s>a fox"),
        ("bos", "\n<s>a fox"),
        ("glm", "[gMASK]<sop><user>a fox"),
        ("glm", "\n[gMASK]<sop><user>a fox"),
    ],
)
def test_a_text_that_has_the_prefix_does_not_get_it_again(form: str, text: str) -> None:
    tokenizer, (_, prefix, _) = made(form), FORMS[form]
    ids = encode(tokenizer, text)
    assert ids == encode(tokenizer, text, special=False)
    assert [ids.count(token) for token in prefix] == [1] * len(prefix)
    assert opening_length(tokenizer, ids) == len(prefix) + text.startswith("\n")


@pytest.mark.parametrize(
    ("form", "text"), [("bos", "fox <s>a"), ("glm", "<sop>a fox"), ("glm", "a [gMASK]<sop>"), ("bos", "a"), ("bos", "")]
)
def test_any_other_text_gets_the_prefix(form: str, text: str) -> None:
    tokenizer, (_, prefix, _) = made(form), FORMS[form]
    assert encode(tokenizer, text) == [*prefix, *encode(tokenizer, text, special=False)]


def test_a_tokenizer_that_adds_nothing_leaves_special_tokens_of_a_text_alone() -> None:
    tokenizer = made("plain")
    assert encode(tokenizer, "<s><s>a") == [0, 0, *encode(tokenizer, "a")]


@pytest.mark.parametrize(("form", "start"), [("plain", (0,)), ("bos", (0,)), ("glm", (0, 1))])
def test_an_empty_context_is_what_the_tokenizer_begins_texts_with(form: str, start: tuple[int, ...]) -> None:
    tokenizer = made(form)
    assert start_tokens(tokenizer) == start
    request = encode_request(tokenizer, "", "fox", 10)
    assert request.input_ids[: len(start)] == start
    assert request.start == len(start) - 1


def test_windows_begin_as_the_tokenizer_begins_texts_or_as_asked() -> None:
    found = {
        form: [window_prefix(made(form), asked) for asked in (None, True, False)] for form in ("plain", "bos", "glm")
    }
    assert found == {"plain": [(), (0,), ()], "bos": [(0,), (0,), ()], "glm": [(0, 1), (0, 1), ()]}
    without = PreTrainedTokenizerFast(tokenizer_object=made("plain").backend_tokenizer)
    with pytest.raises(SettingError, match=r"add_bos must be null or false with a tokenizer that has no BOS"):
        window_prefix(without, True)


def test_provenance_names_them() -> None:
    assert spelled(made("glm"), (0, 1)) == "[gMASK] <sop>"
    assert spelled(made("plain"), ()) == "none"


def test_left_truncation_keeps_all_of_the_prefix() -> None:
    tokenizer = made("glm")
    whole = encode_request(tokenizer, "a quick fox", "Q", 50)
    cut = encode_request(tokenizer, "a quick fox", "Q", 4, truncate="left")
    assert cut.input_ids == (0, 1, *whole.input_ids[-2:])
    assert (cut.targets, cut.start) == (whole.targets, 3)
    with pytest.raises(PromptTooLongError):  # the prefix and three tokens: one too many
        encode_request(tokenizer, "a quick fox", "QZXJ", 4, truncate="left")


@pytest.mark.parametrize("form", ["plain", "bos", "glm"])
@pytest.mark.parametrize("before", ["", "\n"])
def test_a_chat_prompt_is_what_its_template_writes(form: str, before: str) -> None:
    tokenizer = made(form)
    opening = "[gMASK]<sop><user>" if form == "glm" else "<s>"
    tokenizer.chat_template = before + opening + "{% for m in messages %}{{ m.content }}{% endfor %}"
    item = as_chat(tokenizer, Item("toy", "1", "1", (("a fox", " Q"),), 0, "ask"))
    request = encode_request(tokenizer, *item.requests[0], 50)
    expected = tokenizer.apply_chat_template([{"role": "user", "content": "a fox"}], tokenize=True)["input_ids"]
    assert [*request.input_ids, *request.targets] == [*expected, *encode(tokenizer, "Q", special=False)]


def test_a_chat_prompt_whose_template_writes_none_gets_the_prefix() -> None:
    tokenizer = made("bos")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    item = as_chat(tokenizer, Item("toy", "1", "1", (("a fox", " Q"),), 0, "ask"))
    assert encode_request(tokenizer, *item.requests[0], 50).input_ids == tuple(encode(tokenizer, "a fox"))
