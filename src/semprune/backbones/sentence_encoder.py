"""Sentence embeddings of texts by MiniLM, an offline package; for how diverse and how alike texts are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from semprune.assets import ensure_asset

LONGEST = 256
"""Tokens of the encoder that are read of each text, as the model was published."""


def embed_texts(texts: Sequence[str], asset: str = "minilm", batch_size: int = 32) -> Float[Tensor, "texts width"]:
    """Embeddings of length 1: the mean of the last layer over a text's tokens.

    Source: Sentence-BERT (arXiv 1908.10084), all-MiniLM-L6-v2.

    Args:
        texts: The texts; what is longer than :data:`LONGEST` tokens is cut.
        asset: The encoder's package.
        batch_size: Texts per forward.

    Raises:
        SempruneError: The package cannot be had.
    """
    folder = next(ensure_asset(asset).rglob("tokenizer_config.json")).parent
    tokenizer, model = _encoder(folder)
    pieces = []
    for start in range(0, len(texts), batch_size):
        batch = tokenizer(
            list(texts[start : start + batch_size]), padding=True, truncation=True, max_length=LONGEST,
            return_tensors="pt",
        )  # fmt: skip
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state  # [texts, tokens, width]
        pieces.append(pooled(hidden, batch["attention_mask"]))
    return torch.cat(pieces).clone()


def pooled(
    hidden: Float[Tensor, "texts tokens width"], mask: Float[Tensor, "texts tokens"]
) -> Float[Tensor, "texts width"]:
    """Mean over the tokens that are no padding, of length 1.

    Example:
        >>> pooled(torch.tensor([[[3.0, 0.0], [3.0, 8.0], [9.0, 9.0]]]), torch.tensor([[1, 1, 0]]))
        tensor([[0.6000, 0.8000]])
    """
    weights = mask[..., None].float()
    mean = (hidden.float() * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(mean, dim=1)


@lru_cache(maxsize=1)
def _encoder(folder: Path) -> tuple[Any, Any]:
    model = AutoModel.from_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder), model.eval().requires_grad_(False)
