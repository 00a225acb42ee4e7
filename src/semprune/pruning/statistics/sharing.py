"""What the ranks of one run share while they prune: whole batches, summed statistics, equal masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from semprune.errors import MaskMismatchError
from semprune.io.ranks import gather_rows, rank, sum_over_ranks


def own_batches(batches: Sequence[slice]) -> tuple[slice, ...]:
    """Return the batches of this rank: every n-th one of n ranks.

    Whole batches, since a matrix product of another batch size may round differently: each batch is computed as one
    process would compute it.
    """
    return tuple(batches[rank() :: dist.get_world_size()])


def sum_together(tensors: Sequence[Tensor]) -> None:
    """Sum tensors of one dtype over all ranks, in place: vectors in one message, each matrix in its own.

    A matrix of second moments may be a gigabyte: copying all of them into one message would double it.
    """
    vectors = [tensor for tensor in tensors if tensor.ndim == 1]
    if vectors:
        flat = torch.cat(vectors)
        sum_over_ranks(flat)
        for tensor, total in zip(vectors, torch.split(flat, [len(vector) for vector in vectors]), strict=True):
            tensor.copy_(total)
    for tensor in tensors:
        if tensor.ndim > 1:
            sum_over_ranks(tensor)


def require_equal_masks(mask_hash: str, device: torch.device) -> None:
    """Compare the masks' sha256 over ranks.

    Raises:
        MaskMismatchError: They differ; on every rank alike.
    """
    own = torch.tensor([list(bytes.fromhex(mask_hash))], dtype=torch.uint8, device=device)  # [1, 32]
    hashes = [bytes(row).hex() for row in gather_rows(own).tolist()]
    if len(set(hashes)) > 1:
        raise MaskMismatchError(hashes)
