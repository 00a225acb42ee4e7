"""Tiny tokenizers of each convention, trained on a few sentences, and the independent reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
import torch
from tests.models import byte_level_tokenizer
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from semprune.concepts.concept import Concept

CORPUS = [
    "The party had good art, and the good artist said it isn't bad. Don't go to the bad party!",
    "THE ART OF WAR is no good. No one said 'good' or (good) or \"good\" in the well-known art-house.",
    "no longer as good as it was; don’t think it’s bad — the café’s art was “good”.",
    "goodness, badly, artful, 'tis the x.good of foo_good and good_foo; a/b good-bad (bad) .good \"bad\" 'bad'",
] * 4
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _byte_level(pre_tokenizer: pre_tokenizers.PreTokenizer, size: int) -> PreTrainedTokenizerFast:
    return byte_level_tokenizer(CORPUS, size, ("<|end|>",), pre_tokenizer, bos_token=None)


def gpt2_style() -> PreTrainedTokenizerFast:
    """Byte-level BPE with GPT-2's split; short merges, so that many words are several tokens."""
    return _byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), 330)


def llama3_style() -> PreTrainedTokenizerFast:
    """Byte-level BPE whose split glues one sign to the word behind it."""
    split = pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _byte_level(pre_tokenizers.Sequence([split, byte_level]), 400)


def llama2_style() -> PreTrainedTokenizerFast:
    """SentencePiece BPE with byte fallback, no split, and a space put before the text."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    learnt = Tokenizer(models.BPE(unk_token="<unk>"))
    learnt.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", *bytes_], show_progress=False)
    learnt.train_from_iterator([text.replace("’", "'") for text in CORPUS], trainer)
    learnt.model.byte_fallback = True
    learnt.pre_tokenizer = pre_tokenizers.Sequence([])
    learnt.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return PreTrainedTokenizerFast(tokenizer_object=learnt, unk_token="<unk>", bos_token="<s>", pad_token="<s>")


BUILDERS = {"gpt2": gpt2_style, "llama3": llama3_style, "llama2": llama2_style}


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    """One tiny tokenizer per convention."""
    return {name: build() for name, build in BUILDERS.items()}


@pytest.fixture(params=list(BUILDERS))
def tokenizer(
    request: pytest.FixtureRequest, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> PreTrainedTokenizerFast:
    """Each of the tiny tokenizers in turn."""
    return tokenizers[request.param]


def _reference_labels(text: str, concepts: Sequence[Concept], tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Labels by regular expressions on the text and the tokenizer's own character offsets.

    Returns:
        Bool ``[tokens, concepts]``.
    """
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    labels = torch.zeros(len(offsets), len(concepts), dtype=torch.bool)
    for index, concept in enumerate(concepts):
        for word in (word for word in concept.words if word in text.lower().replace("’", "'")):
            for form in {word, word[0].upper() + word[1:], word.upper()}:
                letters = re.escape(form).replace("'", "['’]")
                for match in re.finditer(rf"(?=(?<!\w)(?<!\w['’])({letters})(?!\w)(?!['’]\w))", text):
                    last = match.end(1) - 1
                    covering = [place for place, (start, end) in enumerate(offsets) if start <= last < end]
                    labels[covering[-1], index] = True
    return labels


@pytest.fixture(scope="session")
def reference_labels() -> Callable[[str, Sequence[Concept], PreTrainedTokenizerFast], torch.Tensor]:
    """The reference as a fixture, so that test files need no import from here."""
    return _reference_labels


@pytest.fixture
def without_bytes() -> PreTrainedTokenizerFast:
    """A SentencePiece style tokenizer without byte fallback: unknown letters become ``<unk>``."""
    vocabulary = ["<unk>", "▁", "g", "o", "d", "a", "▁good", "▁a", "go", "od", "good"]
    merges = [("g", "o"), ("o", "d"), ("go", "od"), ("▁", "good"), ("▁", "a")]
    model = models.BPE({token: index for index, token in enumerate(vocabulary)}, merges, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.fixture
def wordpiece() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer, whose spaces are not in its tokens."""
    model = models.WordPiece({"[UNK]": 0, "good": 1, "##ness": 2}, unk_token="[UNK]")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="[UNK]")
