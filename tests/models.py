"""Tiny random models and tokenizers, made in a moment. A test states the sizes and seeds that its numbers hang on.

The families' models, one or more per architecture, are listed in ``unit/backbones/tiny_models.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

LLAMA = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,  # the usual 0.02 leaves attention uniform in a model this narrow
}
GPT2 = {
    "vocab_size": 40,
    "n_embd": 16,
    "n_inner": 24,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 32,
    "initializer_range": 0.3,
}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2, "num_key_value_heads": 1}


def random_model(architecture: str, seed: int = 0, **settings: object) -> PreTrainedModel:
    """A random model in evaluation mode, the same one for the same seed and settings."""
    cls = getattr(transformers, architecture)
    torch.manual_seed(seed)
    return cls(cls.config_class(**settings)).eval()


def llama(seed: int = 0, **changes: object) -> PreTrainedModel:
    return random_model("LlamaForCausalLM", seed, **{**LLAMA, **changes})


def gpt2(seed: int = 0, **changes: object) -> PreTrainedModel:
    return random_model("GPT2LMHeadModel", seed, **{**GPT2, **changes})


def mixtral(seed: int = 0, **changes: object) -> PreTrainedModel:
    return random_model("MixtralForCausalLM", seed, **{**LLAMA, **EXPERTS, **changes})


def word_tokenizer(
    words: Sequence[str], unknown: str = "<s>", split: pre_tokenizers.PreTokenizer | None = None, **special: object
) -> PreTrainedTokenizerFast:
    """One token per word, its id the word's place in the list; words stand between blanks."""
    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=unknown))
    made.pre_tokenizer = split or pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, **special)


def letter_tokenizer(letters: str, first: Sequence[str] = ("<s>",), **special: object) -> PreTrainedTokenizerFast:
    """One token per letter, after the first ones: token ids can be read off the text."""
    return word_tokenizer([*first, *letters], first[-1], pre_tokenizers.Split("", "isolated"), **special)


def byte_level_tokenizer(
    texts: Iterable[str],
    vocab_size: int,
    tokens: Sequence[str] = ("<s>", "</s>"),
    split: pre_tokenizers.PreTokenizer | None = None,
    around: processors.PostProcessor | None = None,
    **special: object,
) -> PreTrainedTokenizerFast:
    """Byte-level BPE like GPT-2's, trained on a few texts; the last of the first tokens ends and fills a text."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = split or pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(tokens), initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    if around is not None:
        bpe.post_processor = around
    special = {"bos_token": "<s>", "eos_token": tokens[-1], "pad_token": tokens[-1], **special}
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **special)
