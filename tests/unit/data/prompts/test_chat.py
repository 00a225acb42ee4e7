"""Items as a chat, with the tokenizer's own template."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from semprune.data import ChatSettings, load_items
from semprune.data.batches.encoding import encode_request
from semprune.data.prompts.chat import as_chat, check_chat_template, template_options
from semprune.errors import ConfigurationError, OpenThoughtError, SettingError, UnknownTemplateOptionError
from semprune.types import Item

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
R1 = (  # opens a thought, whatever it is told
    "{% for m in messages %}<|{{ m.role }}|>{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
)
HARMONY = (  # gpt-oss's
    "<|start|>system<|message|>Today is {{ strftime_now('%Y-%m-%d') }}. Think in the channel of thoughts.<|end|>"
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
ITEM = Item("toy", "1", "1", (("Say <think> or", " this"), ("Say <think> or", " that")), 0, "ask")


def chatting(tokenizer: PreTrainedTokenizerFast, template: str = TEMPLATE) -> PreTrainedTokenizerFast:
    chat = copy.deepcopy(tokenizer)
    chat.chat_template = template
    return chat


def turn(tokenizer: PreTrainedTokenizerFast, **settings: Any) -> str:
    [(context, _), _] = as_chat(tokenizer, ITEM, ChatSettings(**settings)).requests
    return context


def test_the_context_is_the_users_turn(offline: Path, plain_tokenizer: PreTrainedTokenizerFast) -> None:
    plain = load_items("mrpc")[0]
    chat = load_items("mrpc", chat=True, tokenizer=chatting(plain_tokenizer))[0]
    assert (chat.item_id, chat.label, chat.prompt) == (plain.item_id, plain.label, "harness+chat")
    expected = f"<s>[user]{plain.requests[0][0]}[end][assistant]"
    assert chat.requests == ((expected, "no"), (expected, "yes"))


def test_only_the_joining_space_goes(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    item = Item("toy", "1", "1", (("It rained because", "  the sun"), ("It rained because", "so")), 0, "ask")
    assert [continuation for _, continuation in as_chat(chatting(plain_tokenizer), item).requests] == [" the sun", "so"]


def test_few_shot_examples_are_part_of_the_turn(offline: Path, plain_tokenizer: PreTrainedTokenizerFast) -> None:
    (chat,) = load_items("mmlu", shots=1, chat=True, tokenizer=chatting(plain_tokenizer))
    context, continuation = chat.requests[0]
    assert chat.prompt == "harness+1shots+chat"
    assert context.count("[user]") == 1
    assert "Answer: C\n\n" in context
    assert continuation == "A"


def test_bos_is_there_once(offline: Path, bos_tokenizer: PreTrainedTokenizerFast) -> None:
    chat = chatting(bos_tokenizer)
    item = load_items("mrpc", chat=True, tokenizer=chat)[0]
    assert item.requests[0][0].startswith("<s>[user]")  # as the template writes it
    ids = encode_request(chat, *item.requests[0], max_length=200).input_ids
    assert ids.count(chat.bos_token_id) == 1
    assert ids[0] == chat.bos_token_id


def test_without_a_template_or_a_tokenizer_the_remedy_is_named(
    offline: Path, plain_tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ConfigurationError, match=r"has no chat template: it is not a chat model's\. Set `chat: false`"):
        load_items("mrpc", chat=True, tokenizer=plain_tokenizer)
    with pytest.raises(ConfigurationError, match="chat needs the model's tokenizer"):
        load_items("mrpc", chat=True)
    several = chatting(plain_tokenizer)
    several.chat_template = {"rag": TEMPLATE, "tools": TEMPLATE}
    with pytest.raises(ConfigurationError, match="no default"):
        load_items("mrpc", chat=True, tokenizer=several)
    several.chat_template["default"] = TEMPLATE
    assert turn(several) == "<s>[user]Say <think> or[end][assistant]"


def test_options_reach_the_template(offline: Path, plain_tokenizer: PreTrainedTokenizerFast) -> None:
    qwen = chatting(plain_tokenizer, QWEN3)
    asked = "<|im_start|>user\nSay <think> or<|im_end|>\n<|im_start|>assistant\n"
    assert turn(qwen) == turn(qwen, options={"enable_thinking": True}) == asked
    assert turn(qwen, options={"enable_thinking": False}) == f"{asked}<think>\n\n</think>\n\n"
    [item] = load_items("mrpc", limit=1, chat=ChatSettings({"enable_thinking": False}), tokenizer=qwen)
    assert item.requests[0][0].endswith("assistant\n<think>\n\n</think>\n\n")


def test_an_option_that_the_template_never_reads_is_an_error(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    qwen = chatting(plain_tokenizer, QWEN3)
    assert template_options(qwen) == {"enable_thinking"}
    assert template_options(chatting(plain_tokenizer)) == template_options(chatting(plain_tokenizer, R1)) == set()
    with pytest.raises(UnknownTemplateOptionError, match="'enable_thinkin'; did you mean 'enable_thinking'"):
        check_chat_template(qwen, ChatSettings({"enable_thinkin": False}))
    for ours in ("tools", "tokenize", "strftime_now", "messages"):
        with pytest.raises(UnknownTemplateOptionError, match=f"option of the chat template '{ours}'"):
            check_chat_template(chatting(plain_tokenizer, HARMONY), ChatSettings({ours: "x"}, thought="close"))


def test_a_template_that_opens_a_thought_is_refused_or_the_thought_closed(
    offline: Path, plain_tokenizer: PreTrainedTokenizerFast
) -> None:
    for template, opening, closed in (
        (R1, "<think>", "<|user|>Say <think> or<|assistant|><think>\n\n</think>\n\n"),
        (R1.replace("<think>", "[THINK]"), "[THINK]", "<|assistant|>[THINK]\n\n[/THINK]\n\n"),
        (HARMONY, "<|start|>assistant", "or<|end|><|start|>assistant<|channel|>final<|message|>"),
        (
            R1.replace("{% if add_generation_prompt %}", "").replace("{% endif %}", ""),
            "<think>",
            "<think>\n\n</think>\n\n",
        ),
    ):
        thinking = chatting(plain_tokenizer, template)
        with pytest.raises(OpenThoughtError, match=re.escape(f"begins the answer with '{opening}'")) as refused:
            load_items("mrpc", chat=True, tokenizer=thinking)
        assert "enable_thinking: false" in str(refused.value)
        assert "thought: close" in str(refused.value)
        assert turn(thinking, thought="close").endswith(closed)
    # a thought that is over, and words of the user about thoughts, are none that is open
    assert turn(chatting(plain_tokenizer, R1.replace("<think>\n", "<think>\n</think>"))).endswith("<think>\n</think>")
    assert turn(chatting(plain_tokenizer), thought="close") == "<s>[user]Say <think> or[end][assistant]"


def test_today_is_always_the_same_day(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    dated = chatting(plain_tokenizer, "{{ strftime_now('%d %b %Y %H:%M') }}|{{ messages[0].content }}")
    assert turn(dated) == "26 Jul 2024 00:00|Say <think> or"
    assert turn(dated, date="2031-01-02") == "02 Jan 2031 00:00|Say <think> or"
    llama = '{% if strftime_now is defined %}{{ strftime_now( "%d %b" ) }}{% else %}never{% endif %}'
    assert turn(chatting(plain_tokenizer, llama)) == "26 Jul"
    with pytest.raises(ConfigurationError, match="a format that is not written out"):
        check_chat_template(chatting(plain_tokenizer, "{% set how = '%d' %}{{ strftime_now(how) }}"))
    for wrong in ("yesterday", 20240726):
        with pytest.raises(SettingError, match=r"chat\.date must be a date"):
            check_chat_template(dated, ChatSettings(date=wrong))
    with pytest.raises(SettingError, match=r"chat\.thought must be error or close, got 'open'"):
        check_chat_template(dated, ChatSettings(thought="open"))  # type: ignore[arg-type]


def test_a_template_that_refuses_the_turn_is_a_typed_error(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    picky = chatting(plain_tokenizer, "{{ raise_exception('no system turn') }}")
    with pytest.raises(ConfigurationError, match="cannot be filled: no system turn"):
        check_chat_template(picky)
