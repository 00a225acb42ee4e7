"""A prunable linear as the methods see it: ``[out, in]``, however its model stores it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from semprune.backbones.layout import family_of, prunable_matrices
from semprune.errors import NonFiniteError
from semprune.types import PrunableMatrix


@contextmanager
def writable(weight: Tensor) -> Iterator[Tensor]:
    """Allow writing in place: a tensor made under inference mode can only be written under inference mode."""
    with torch.inference_mode(weight.is_inference()), torch.no_grad():
        yield weight


def zero_pruned(weight: Float[Tensor, "rows columns"], kept: Bool[Tensor, "rows columns"]) -> None:
    """Set the weights to +0 in place that a mask does not keep.

    By their bits, which on a CPU is sixteen times as fast as ``masked_fill_``: that branches at every weight.

    Args:
        weight: Any floating dtype.
        kept: True where a weight is kept.

    Example:
        >>> weight = torch.tensor([[-1.5, 2.0]])
        >>> zero_pruned(weight, torch.tensor([[False, True]]))
        >>> weight
        tensor([[0., 2.]])
    """
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[weight.element_size()]
    with writable(weight) as written:
        written.view(whole).bitwise_and_(kept.to(written.device, whole).neg_())  # True is 1, and -1 is all bits


@dataclass(frozen=True, slots=True)
class PrunableLinear:
    """A matrix together with the module that holds it.

    Attributes:
        matrix: Its name, block, role and orientation.
        module: ``nn.Linear``, a ``Conv1D`` that stores ``[in, out]``, or the experts of a mixture, whose parameters
            stack one matrix per expert.
    """

    matrix: PrunableMatrix
    module: nn.Module

    @property
    def name(self) -> str:
        """Name of the matrix: the module's path, for an expert with parameter and index."""
        return self.matrix.name

    @property
    def stored(self) -> Float[Tensor, "rows columns"]:
        """The weight as it is stored, cut from autograd; a view: writing to it changes the model."""
        weight = getattr(self.module, self.matrix.parameter)
        assert isinstance(weight, Tensor)
        return weight.data if self.matrix.expert is None else weight.data[self.matrix.expert]

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The weight as ``[out, in]``: a view."""
        return self.orient(self.stored)

    def orient(self, tensor: Tensor) -> Tensor:
        """Turn ``[out, in]`` into the stored orientation, or back."""
        return tensor.t() if self.matrix.transposed else tensor

    def keep(self, kept: Bool[Tensor, "rows columns"]) -> None:
        """Set the weights to zero, in place, that a mask in the stored orientation does not keep."""
        zero_pruned(self.stored, kept)

    def write(self, weight: Float[Tensor, "rows columns"]) -> None:
        """Overwrite the stored weight in place."""
        with writable(self.stored) as stored:
            stored.copy_(weight)

    def measured_sparsity(self) -> float:
        """Return the share of weights that are zero."""
        rows = (self.stored != 0).sum(-1, dtype=torch.int32)  # count_nonzero branches at every weight: slower
        return 1.0 - int(rows.sum()) / self.stored.numel()


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

    def __iter__(self) -> Iterator[tuple[PrunableLinear, Float[Tensor, "rows columns"]]]:
        """Each matrix with its copy, as stored."""
        return zip(self.linears, self._weights, strict=True)

    def write_back(self) -> None:
        """Overwrite the model's weights, in place, bit for bit."""
        for linear, weight in self:
            linear.write(weight)


def prunable_linears(model: nn.Module, *, adapted: bool = False) -> dict[int, list[PrunableLinear]]:
    """Return the prunable linears of each decoder block.

    Args:
        model: A Hugging Face causal language model of a known family.
        adapted: Whether adapters may lie around them. They are never pruned then, only held: what adapters add to a
            weight would fill its zeros.

    Raises:
        UnknownArchitectureError: No family declares the model's class.
        UnprunedMatrixError: A block has a matrix that the family does not name.
    """
    blocks: dict[int, list[PrunableLinear]] = defaultdict(list)
    for matrix in prunable_matrices(model, family_of(model), adapted=adapted):
        blocks[matrix.layer].append(PrunableLinear(matrix, model.get_submodule(matrix.module)))
    return dict(blocks)


def matrix_parameter(model: nn.Module, name: str) -> tuple[nn.Parameter, int | None]:
    """Return the parameter that holds a matrix, and which slice of it where it is an expert's.

    Args:
        model: Holds the weight.
        name: Dotted path of a module with a ``weight``, or of a stacked parameter followed by an expert's index.

    Raises:
        AttributeError: The model has no such weight.
    """
    path, _, last = name.rpartition(".")
    owner, _, parameter = path.rpartition(".")
    stack = getattr(model.get_submodule(owner), parameter, None) if last.isdecimal() else None
    if isinstance(stack, nn.Parameter) and stack.ndim == 3 and int(last) < stack.shape[0]:
        return stack, int(last)
    weight = model.get_submodule(name).weight
    assert isinstance(weight, nn.Parameter)
    return weight, None


def stored_weight(model: nn.Module, name: str) -> Tensor:
    """Return the weight that a matrix's name stands for, as it is stored: a view.

    Args:
        model: Holds the weight.
        name: As in :func:`matrix_parameter`.

    Raises:
        AttributeError: The model has no such weight.
    """
    parameter, expert = matrix_parameter(model, name)
    return parameter.data if expert is None else parameter.data[expert]


def check_finite(linears: Iterable[PrunableLinear]) -> None:
    """Refuse weights without an order.

    Raises:
        NonFiniteError: A weight is NaN or infinite; names the matrix.
    """
    for linear in linears:
        refuse_non_finite(linear.name, linear.stored)


def check_parameters(root: nn.Module, linears: Sequence[PrunableLinear], path: str = "") -> None:
    """Refuse parameters without an order: a model's matrices, and whatever else it computes with.

    Args:
        root: The model, or a part of it.
        linears: Its prunable matrices, which are called by their names.
        path: Where the part is in the model, with a dot at its end.

    Raises:
        NonFiniteError: A weight is NaN or infinite; names the parameter.
    """
    check_finite(linears)
    checked = {id(getattr(linear.module, linear.matrix.parameter)) for linear in linears}
    for name, value in root.named_parameters():
        if id(value) not in checked:
            refuse_non_finite(f"{path}{name}", value.data)


def refuse_non_finite(name: str, tensor: Tensor) -> None:
    """Refuse a tensor with a value that is no number.

    Raises:
        NonFiniteError: A value is NaN or infinite; names the tensor.
    """
    if tensor.numel() and tensor.is_floating_point():
        extremes = torch.stack(torch.aminmax(tensor))  # NaN if any is
        if not all(map(math.isfinite, extremes.tolist())):  # asked at once: each question waits for a GPU
            raise NonFiniteError(name)
