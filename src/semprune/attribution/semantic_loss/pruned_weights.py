"""A pruned model given by what changed (masks, or new weights), beside the dense one in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semprune.backbones import Backbone
from semprune.errors import SettingError
from semprune.pruning.weights.linear import stored_weight
from semprune.types import PrunableMatrix


class PrunedWeights:
    """Dense and pruned weights of one backbone; the model itself stays dense.

    A mask says which weights are kept as they are (``PruneReport.masks``). Methods that also move the kept weights
    (SparseGPT) need the new weights themselves.
    """

    def __init__(self, lm: Backbone, changed: Mapping[str, Tensor]) -> None:
        """Check what is given.

        Args:
            lm: The dense backbone.
            changed: Mask (bool, True where kept) or new weight (floating point) by the matrix's name, both in the
                stored orientation. Matrices without an entry are unchanged.

        Raises:
            SettingError: A name is not a matrix of the backbone, a shape is not its weight's, a dtype is neither, or
                the matrix is one expert of a mixture.
        """
        self._model = lm.model
        self._matrices = {matrix.name: matrix for matrix in lm.matrices}
        for name, value in changed.items():
            self._check(name, value)
        self._changed = dict(changed)

    def _check(self, name: str, value: Tensor) -> None:
        if name not in self._matrices or self._matrices[name].expert is not None:
            raise SettingError("pruned weights", name, "of matrices of the backbone that are no experts")
        shape = tuple(stored_weight(self._model, name).shape)
        if tuple(value.shape) != shape or not (value.dtype == torch.bool or value.is_floating_point()):
            got = f"{name} {tuple(value.shape)} {value.dtype}"
            raise SettingError("pruned weights", got, f"masks or floating-point weights of shape {shape}")

    def _pruned(self, name: str) -> Tensor:
        dense = stored_weight(self._model, name)
        value = self._changed[name].to(dense.device)
        return dense * value if value.dtype == torch.bool else value.to(dense.dtype)

    def pair(self, matrix: PrunableMatrix) -> tuple[Float[Tensor, "out in"], Float[Tensor, "out in"]]:
        """Dense and pruned weight of a matrix as ``[out, in]``, fp32 or wider."""
        dense = stored_weight(self._model, matrix.name)
        pruned = self._pruned(matrix.name) if matrix.name in self._changed else dense
        wide = torch.promote_types(dense.dtype, torch.float32)
        both = (dense.to(wide), pruned.to(wide))
        return (both[0].T, both[1].T) if matrix.transposed else both

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the pruned weights inside the context, and its own again after it, also on exceptions.

        Both sets of weights are in memory meanwhile.
        """
        with ExitStack() as stack:
            for name in self._changed:
                matrix = self._matrices[name]
                parameter = getattr(self._model.get_submodule(matrix.module), matrix.parameter)
                stack.callback(_set_data, parameter, parameter.data)
                parameter.data = self._pruned(name)
            yield


def _set_data(parameter: nn.Parameter, value: Tensor) -> None:
    parameter.data = value
