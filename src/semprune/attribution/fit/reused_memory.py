"""Memory for temporaries that every site needs anew."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


class ReusedMemory:
    """Gives the same memory for one temporary after the other, since a CPU's new memory is mapped page by page.

    A GPU's is torch's own to reuse.

    Example:
        >>> memory = ReusedMemory()
        >>> first, second = memory.take((3, 4), torch.float32), memory.take((2, 5), torch.bfloat16)
        >>> second.shape, first.data_ptr() == second.data_ptr()
        (torch.Size([2, 5]), True)
    """

    def __init__(self) -> None:
        """Start without memory."""
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def take(
        self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | None = None
    ) -> Float[Tensor, "..."]:
        """A tensor with whatever was left there; the one taken before must not be needed any more."""
        if device is not None and device.type != "cpu":
            return torch.empty(shape, dtype=dtype, device=device)
        needed = math.prod(shape) * dtype.itemsize
        if len(self._bytes) < needed:
            self._bytes = torch.empty(needed, dtype=torch.uint8)
        return self._bytes[:needed].view(dtype).view(shape)
