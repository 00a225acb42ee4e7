"""Models with random weights, made on the device from their shape alone."""

from __future__ import annotations

import torch
from benchmarks.gpu.settings import Sizes
from benchmarks.pruning_7b import build
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from semprune.backbones import Backbone, describe


def small_backbone(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Make the model that is fitted and scored; its tokenizer, which nothing asks, knows one word."""
    torch.manual_seed(0)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"<s>": 0}, unk_token="<s>")), pad_token="<s>", eos_token="<s>"
    )
    return describe(build(sizes.small, sizes.small_blocks, device, dtype), tokenizer, "random")


def random_ids(rows: int, length: int, vocabulary: int, device: torch.device, seed: int = 0) -> torch.Tensor:
    """Draw token ids, the same on each device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocabulary, (rows, length), generator=generator).to(device)
