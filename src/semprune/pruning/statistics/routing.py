"""What of a batch reaches one expert of a mixture, sequence by sequence."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float, Int
from torch import Tensor


def routed_sequences(
    inputs: Float[Tensor, "routed in"],
    tokens: Int[Tensor, " routed"],
    shape: tuple[int, int],
    tau: Float[Tensor, "batch tokens"] | None = None,
) -> Iterator[tuple[Float[Tensor, "1 routed in"], Float[Tensor, "1 routed"] | None]]:
    """Yield what an expert reads of each sequence, and the weights of these tokens, for an accumulator.

    A sequence that sends it nothing is yielded empty: it was seen, too.

    Args:
        inputs: What the expert reads.
        tokens: Which tokens these are, ascending, counted over the batch's sequences one after the other.
        shape: Sequences and tokens per sequence of the batch.
        tau: Weight of each token of the batch, 0 for padding; None for 1 everywhere.

    Example:
        >>> import torch
        >>> inputs, tokens = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0, 1, 5])
        >>> [part.flatten().tolist() for part, _ in routed_sequences(inputs, tokens, (3, 2))]
        [[1.0, 2.0], [], [3.0]]
    """
    batch, length = shape
    counts = (tokens // length).bincount(minlength=batch).tolist()
    parts = inputs.split(counts)
    weights = [None] * batch if tau is None else [part[None] for part in tau.reshape(-1)[tokens].split(counts)]
    for part, weight in zip(parts, weights, strict=True):
        yield part[None], weight
