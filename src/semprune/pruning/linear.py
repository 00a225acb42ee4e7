"""A prunable linear as the methods see it: ``[out, in]``, however its model stores it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from semprune.backbones.layout import family_of, prunable_matrices
from semprune.errors import NonFiniteError
from semprune.types import PrunableMatrix


@dataclass(frozen=True, slots=True)
class PrunableLinear:
    """A matrix together with the module that holds it.

    Attributes:
        matrix: Its name, block, role and orientation.
        module: ``nn.Linear``, or a ``Conv1D`` that stores ``[in, out]``.
    """

    matrix: PrunableMatrix
    module: nn.Module

    @property
    def name(self) -> str:
        """Dotted path inside the Hugging Face model."""
        return self.matrix.name

    @property
    def stored(self) -> Float[Tensor, "rows columns"]:
        """The weight as it is stored, cut from autograd; writing to it changes the model."""
        weight = self.module.weight
        assert isinstance(weight, Tensor)
        return weight.data

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The weight as ``[out, in]``: a view."""
        return self.orient(self.stored)

    def orient(self, tensor: Tensor) -> Tensor:
        """Turn ``[out, in]`` into the stored orientation, or back."""
        return tensor.t() if self.matrix.transposed else tensor

    def keep(self, kept: Bool[Tensor, "rows columns"]) -> None:
        """Set the weights to zero, in place, that a mask in the stored orientation does not keep."""
        with writable(self.stored) as weight:
            weight.masked_fill_(~kept.to(weight.device), 0)

    def write(self, weight: Float[Tensor, "rows columns"]) -> None:
        """Overwrite the stored weight in place."""
        with writable(self.stored) as stored:
            stored.copy_(weight)

    def measured_sparsity(self) -> float:
        """Return the share of weights that are zero."""
        return 1.0 - int(torch.count_nonzero(self.stored)) / self.stored.numel()


class WeightCopy:
    """The weights of a model's prunable matrices as they are now, on the CPU, to be put back later.

    Args:
        model: A Hugging Face causal language model of a known family.
    """

    def __init__(self, model: nn.Module) -> None:
        """Copy the weights."""
        self.linears = [linear for block in prunable_linears(model).values() for linear in block]
        with torch.inference_mode(False):  # the copies are read again after the run
            self._weights = [linear.stored.to("cpu", copy=True) for linear in self.linears]

    def write_back(self) -> None:
        """Overwrite the model's weights, in place, bit for bit."""
        for linear, weight in zip(self.linears, self._weights, strict=True):
            linear.write(weight)


@contextmanager
def writable(weight: Tensor) -> Iterator[Tensor]:
    """Allow writing in place: a tensor made under inference mode can only be written under inference mode."""
    with torch.inference_mode(weight.is_inference()), torch.no_grad():
        yield weight


def prunable_linears(model: nn.Module) -> dict[int, list[PrunableLinear]]:
    """Return the prunable linears of each decoder block.

    Raises:
        UnknownArchitectureError: No family declares the model's class.
        UnprunedMatrixError: A block has a matrix that the family does not name.
    """
    blocks: dict[int, list[PrunableLinear]] = defaultdict(list)
    for matrix in prunable_matrices(model, family_of(model)):
        blocks[matrix.layer].append(PrunableLinear(matrix, model.get_submodule(matrix.name)))
    return dict(blocks)


def check_finite(linears: Iterable[PrunableLinear]) -> None:
    """Refuse weights without an order.

    Raises:
        NonFiniteError: A weight is NaN or infinite; names the matrix.
    """
    for linear in linears:
        if not torch.isfinite(linear.stored).all():
            raise NonFiniteError(linear.name)
