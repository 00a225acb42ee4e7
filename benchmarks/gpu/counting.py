"""Counts what a call would ask of a GPU, on a CPU: launches, bytes, and how often the host waits.

Every operation that computes is one launch, as torch runs it without a compiler, and moves what it reads and writes.
A view costs neither. The host waits wherever a number, a mask's length or a whole tensor is asked back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from benchmarks.gpu.timing import Call
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from semprune.attribution.standardisation import site_pass
from semprune.evaluation.engine import logits, token_logprobs
from semprune.pruning.selection import keep

READ = {Tensor.cpu, Tensor.tolist, Tensor.numpy}
ASKED = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount"}
"""What the host must wait for: a number, or how large the result is."""
MADE = {"empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided", "detach", "lift_fresh"}
"""Allocations, which launch nothing."""


@dataclass(slots=True)
class Counts:
    """What a call asks of a device.

    Attributes:
        launches: Operations that compute.
        moved_bytes: What they read and write, each tensor as often as an operation takes it.
        waits: How often the host waits for the device.
        fetched_bytes: What is copied to the host.
    """

    launches: int = 0
    moved_bytes: int = 0
    waits: int = 0
    fetched_bytes: int = 0

    def __sub__(self, other: Counts) -> Counts:
        """What a call asks beyond another."""
        return Counts(
            self.launches - other.launches,
            self.moved_bytes - other.moved_bytes,
            self.waits - other.waits,
            self.fetched_bytes - other.fetched_bytes,
        )


class _Operations(TorchDispatchMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ASKED or (name == "index" and _reads_mask(args[1])) or _puts_by_mask(name, args):
            self._counts.waits += 1
        if not func.is_view and name not in MADE and name != "_local_scalar_dense":
            self._counts.launches += 1
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
            self._counts.moved_bytes += sum(_own_bytes(tensor) for tensor in {id(t): t for t in tensors}.values())
        return out


class _Reads(TorchFunctionMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in READ:
            self._counts.waits += 1
            self._counts.fetched_bytes += _own_bytes(args[0])
        return func(*args, **(kwargs or {}))


def count(run: Call) -> Counts:
    """Count a call, with the paths that a GPU takes where a CPU has others of its own.

    Example:
        >>> one = torch.ones(4)
        >>> count(lambda: bool((one + one).sum() > 1))
        Counts(launches=3, moved_bytes=73, waits=1, fetched_bytes=0)
    """
    counts = Counts()
    whole: Callable[[Tensor], int] = len  # a GPU's temporaries are not cut into pieces
    with (
        patch.object(keep, "lowest_threshold", _threshold),
        patch.object(site_pass, "_rows", whole),
        patch.dict(logits.LOGIT_ELEMENTS, cpu=logits.LOGIT_ELEMENTS["cuda"]),
        patch.dict(token_logprobs._BLOCK_ELEMENTS, cpu=token_logprobs._BLOCK_ELEMENTS["cuda"]),
        _Reads(counts),
        _Operations(counts),
    ):
        run()
    return counts


def _threshold(score: Tensor, count: int) -> Tensor:
    """As a GPU finds it."""
    if score.shape[0] < keep.FEW_ROWS:
        return score.topk(count, dim=-1, largest=False, sorted=False).values.amax(-1, keepdim=True)
    return score.kthvalue(count, dim=-1, keepdim=True).values


def _own_bytes(tensor: Tensor) -> int:
    """Bytes that a tensor has in memory; an axis that repeats the same ones has one."""
    sizes = [1 if step == 0 else size for size, step in zip(tensor.shape, tensor.stride(), strict=True)]
    return int(torch.Size(sizes).numel()) * tensor.element_size()


def _reads_mask(indices: Any) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _puts_by_mask(name: str, args: tuple[Any, ...]) -> bool:
    """Whether values are put where a mask says; a single value is filled in without asking how many."""
    return name == "index_put_" and _reads_mask(args[1]) and args[2].numel() != 1
