"""Items as a chat, with the tokenizer's own template."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from semprune.data import load_items
from semprune.data.batches.encoding import encode_request
from semprune.data.prompts.chat import as_chat
from semprune.errors import ConfigurationError
from semprune.types import Item

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def chatting(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    chat = copy.deepcopy(tokenizer)
    chat.chat_template = TEMPLATE
    return chat


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
