"""Sums and gathers over the ranks of a distributed run; with one process they return what they were given."""

from __future__ import annotations

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor


def distributed() -> bool:
    """Whether more than one rank takes part."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Index of this process, 0 without a process group."""
    return dist.get_rank() if distributed() else 0


def world_size() -> int:
    """Number of processes, 1 without a process group."""
    return dist.get_world_size() if distributed() else 1


def sum_over_ranks(*tensors: Tensor) -> None:
    """Sum each tensor over the ranks, in place."""
    if distributed():
        for tensor in tensors:
            dist.all_reduce(tensor)


def max_over_ranks(*tensors: Tensor) -> None:
    """Take each tensor's maximum over the ranks, in place."""
    if distributed():
        for tensor in tensors:
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)


def gather_rows(rows: Shaped[Tensor, "rows ..."]) -> Shaped[Tensor, "all_rows ..."]:
    """Concatenate every rank's rows, in the order of the ranks; ranks may hold different numbers of rows."""
    if not distributed():
        return rows
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    longest = max(int(count) for count in counts)
    padded = rows.new_zeros((longest, *rows.shape[1:]))
    padded[: len(rows)] = rows
    gathered = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(gathered, padded)
    return torch.cat([block[: int(count)] for block, count in zip(gathered, counts, strict=True)])
