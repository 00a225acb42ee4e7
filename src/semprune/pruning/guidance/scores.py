"""What is to be kept of words, in one number: their log-probability."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.backbones.readout import Places


def word_places(counted: Bool[Tensor, "rows tokens"]) -> Places:
    """Row and position whose logits predict each word that counts; a row's first one is not predicted."""
    row, position = counted[:, 1:].nonzero(as_tuple=True)
    return row, position


def words_logprob(
    logits: Float[Tensor, "words vocabulary"],
    input_ids: Int[Tensor, "rows tokens"],
    counted: Bool[Tensor, "rows tokens"],
) -> Float[Tensor, ""]:
    """The log-probability of some of a text's tokens, each after what is before it, summed, in nats.

    Args:
        logits: At :func:`word_places`.
        input_ids: The text.
        counted: True for the tokens that count.

    Example:
        >>> even, ids = torch.zeros(1, 4), torch.tensor([[0, 1, 2]])
        >>> bool(words_logprob(even, ids, torch.tensor([[True, False, True]])) == torch.tensor(0.25).log())
        True
    """
    row, position = word_places(counted)
    wide = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    return wide.gather(1, input_ids[row, position + 1, None].to(wide.device)).sum()
