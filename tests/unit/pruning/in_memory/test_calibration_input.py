"""What pruning takes as model and calibration: all spellings of the same sequences prune alike."""

import copy

import pytest
import torch
from tests.models import letter_tokenizer
from tokenizers.processors import TemplateProcessing

from semprune.backbones.backbone import describe
from semprune.errors import ConfigurationError, EmptyCalibrationError, SettingError
from semprune.pruning import prune_model

TEXTS = ["cabbage", "baggage", "abcdefgh"]
SETTINGS = {"method": "wanda", "sparsity": 0.5}


@pytest.fixture
def tokenizer():
    return letter_tokenizer("abcdefgh ", bos_token="<s>", pad_token="<s>")


@pytest.fixture
def ids(tokenizer):
    return torch.tensor([tokenizer(text + " " * (8 - len(text)))["input_ids"] for text in TEXTS])


@pytest.fixture
def mask(ids):
    return torch.tensor([[1] * len(text) + [0] * (8 - len(text)) for text in TEXTS])


@pytest.fixture
def expected(llama, ids, mask):
    return prune_model(copy.deepcopy(llama), ids, attention_mask=mask, **SETTINGS).mask_hash


@pytest.mark.parametrize(
    "encoded",
    [
        lambda tokenizer: tokenizer(TEXTS),  # lists of different lengths
        lambda tokenizer: tokenizer(TEXTS, padding=True, return_tensors="pt"),
        lambda tokenizer: tokenizer(TEXTS, padding=True, padding_side="left"),
        lambda tokenizer: tokenizer(TEXTS)["input_ids"],
        lambda tokenizer: tuple(TEXTS),
    ],
    ids=["encoding", "padded", "left", "lists", "texts"],
)
def test_every_spelling_of_the_same_sequences_prunes_alike(llama, tokenizer, encoded, expected):
    assert prune_model(llama, encoded(tokenizer), tokenizer=tokenizer, **SETTINGS).mask_hash == expected


def test_a_backbone_brings_model_and_tokenizer(llama, tokenizer, expected):
    lm = describe(llama, tokenizer, "tiny")
    report = prune_model(lm, TEXTS, **SETTINGS)

    assert report.mask_hash == expected
    assert float((lm.model.model.layers[0].mlp.up_proj.weight == 0).float().mean()) == 0.5


def test_one_text_is_one_sequence(llama, tokenizer, ids):
    one = prune_model(copy.deepcopy(llama), ids[2:], **SETTINGS)
    assert prune_model(llama, TEXTS[2], tokenizer=tokenizer, **SETTINGS).calibration == one.calibration


def test_texts_begin_as_the_tokenizer_begins_them(llama, tokenizer, ids):
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    begun = torch.cat([torch.tensor([[tokenizer.bos_token_id]]), ids[2:]], dim=1)
    expected = prune_model(copy.deepcopy(llama), begun, **SETTINGS).calibration
    assert prune_model(llama, TEXTS[2], tokenizer=tokenizer, **SETTINGS).calibration == expected


def test_texts_without_a_tokenizer_say_what_to_pass(llama):
    with pytest.raises(ConfigurationError, match=r"LlamaForCausalLM has no tokenizer .* Pass `tokenizer`"):
        prune_model(llama, ["a text"], **SETTINGS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ids": [[1]]}, "a mapping of ids"),
        ([[1, 2], []], "calibration sequence 1 must be one token or more"),
        (["abc", ""], "calibration sequence 1 must be one token or more"),
        (["a" * 33], "text 0 must be at most 32 tokens, which the model reads, got '33 tokens'"),
        ([1, 2, 3], r"integers of shape \[sequences, tokens\]"),
        ([["a", "b"]], r"a text, texts, token ids"),
        ({"input_ids": [[1, 2]], "attention_mask": [[1, 7]]}, "0 for padding and 1 for tokens"),
        (object(), r"a text, texts, token ids"),
    ],
)
def test_what_cannot_be_sequences_is_refused(llama, tokenizer, given, message):
    with pytest.raises(SettingError, match=message):
        prune_model(llama, given, tokenizer=tokenizer, **SETTINGS)


@pytest.mark.parametrize("given", [[], None, {"input_ids": []}])
def test_nothing_is_no_calibration(llama, given):
    with pytest.raises(EmptyCalibrationError):
        prune_model(llama, given, **SETTINGS)


def test_two_masks_are_one_too_many(llama, tokenizer, mask):
    with pytest.raises(ConfigurationError, match="attention_mask of its own"):
        prune_model(llama, tokenizer(TEXTS), attention_mask=mask, **SETTINGS)


def test_no_model_is_refused():
    with pytest.raises(SettingError, match="a Hugging Face causal language model, or what load_backbone returns"):
        prune_model("smollm2-135m", TEXTS, **SETTINGS)


def test_model_and_report_print_as_one_line(llama, tokenizer):
    lm = describe(llama, tokenizer, "tiny")
    assert repr(lm) == "Backbone('tiny': LlamaForCausalLM, 2 blocks, 5,200 parameters, float32 on cpu)"
    assert repr(prune_model(lm, None, method="magnitude", sparsity=0.25)) == (
        "PruneReport(magnitude: 14 matrices, 25.00% zeros; sparsity=0.25, selection='exact')"
    )
