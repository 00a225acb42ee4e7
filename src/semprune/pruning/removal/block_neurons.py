"""The MLP of one decoder block as neurons: what each is worth, and the block without some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.errors import NeuronRemovalError
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import LayerStats

ENTRIES = {"gate": 1, "up": 1, "gate_up": 2}  # roles whose rows are neurons, and how often each neuron has a row


@dataclass(frozen=True, slots=True)
class BlockNeurons:
    """The matrices that hold one block's neurons.

    Attributes:
        entries: Matrices whose rows are neurons: gate and up, or both in one, one after the other.
        down: The matrix whose columns are neurons.
    """

    entries: tuple[PrunableLinear, ...]
    down: PrunableLinear

    @classmethod
    def of(cls, linears: Iterable[PrunableLinear], architecture: str) -> BlockNeurons:
        """Find them among a block's matrices.

        Raises:
            NeuronRemovalError: There is not one down-projection, or a matrix has not one row for each neuron.
        """
        found = list(linears)
        downs = [linear for linear in found if linear.matrix.role == "down"]
        entries = tuple(linear for linear in found if linear.matrix.role in ENTRIES)
        if len(downs) != 1 or not entries:
            raise NeuronRemovalError(architecture, f"a block has {len(downs)} down-projections (a mixture of experts?)")
        width = downs[0].weight.shape[1]
        for linear in entries:
            if linear.weight.shape[0] != ENTRIES[linear.matrix.role] * width:
                detail = f"{linear.name} has {linear.weight.shape[0]} rows for {width} neurons"
                raise NeuronRemovalError(architecture, detail)
        return cls(entries, downs[0])

    @property
    def width(self) -> int:
        """Number of neurons."""
        return self.down.weight.shape[1]

    def scores(self, stats: Mapping[str, LayerStats]) -> Float[Tensor, " neurons"]:
        r"""Return what each neuron is worth: the Wanda scores of all its weights, summed.

        .. math:: s_j = \sum_{W \in \{gate, up\}} \sum_i |W_{ji}|\,\lVert X_i \rVert_2
            + \sum_k |D_{kj}|\,\lVert h_j \rVert_2

        Source: ours, from Wanda's score (equations.md P2).

        Args:
            stats: Statistics of each matrix's inputs, by module name.
        """
        norms = stats[self.down.name].sum_squares.sqrt()
        total = self.down.weight.float().abs().sum(0) * norms
        for linear in self.entries:
            rows = linear.weight.float().abs() @ stats[linear.name].sum_squares.sqrt()
            total += rows.reshape(-1, self.width).sum(0)
        return total

    def keep(self, neurons: Int[Tensor, " kept"]) -> None:
        """Take all other neurons out: smaller weights and biases in the same modules.

        Args:
            neurons: Those that stay, in order.
        """
        for linear in self.entries:
            rows = torch.cat([neurons + part * self.width for part in range(ENTRIES[linear.matrix.role])])
            _take(linear.module, "weight", rows, dim=1 if linear.matrix.transposed else 0)
            if getattr(linear.module, "bias", None) is not None:
                _take(linear.module, "bias", rows, dim=0)
        _take(self.down.module, "weight", neurons, dim=0 if self.down.matrix.transposed else 1)
        for linear in (*self.entries, self.down):
            _state_shape(linear)


def _take(module: nn.Module, name: str, index: Tensor, dim: int) -> None:
    old = getattr(module, name)
    taken = old.data.index_select(dim, index.to(old.device))
    setattr(module, name, nn.Parameter(taken, requires_grad=old.requires_grad))


def _state_shape(linear: PrunableLinear) -> None:
    """Let a module say the size it has now: ``nn.Linear`` and transformers' ``Conv1D`` name it differently."""
    rows, columns = linear.weight.shape
    for out_name, in_name in (("out_features", "in_features"), ("nf", "nx")):
        if hasattr(linear.module, out_name):
            setattr(linear.module, out_name, rows)
            setattr(linear.module, in_name, columns)
