"""Norms of the MLPs' inputs over each concept's tokens (`‖X_i‖_c` of equations.md L4), gathered in one dense pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from semprune.backbones import Backbone
from semprune.errors import CaptureError
from semprune.io.distributed import sum_over_ranks
from semprune.pruning.weights.linear import stored_weight
from semprune.types import PrunableMatrix

BLOCKS = 8  # groups of the jackknife: the norms vary so little over documents that 20 would only cost memory
INPUT_ROLES = ("gate", "up", "gate_up")


class ConceptNorms:
    """Sums of squared inputs of every MLP, weighted by concept evidence, per block of documents.

    Attributes:
        squares: `Σ_{t∈c} x_ti²`, float64.
        tokens: Tokens of each concept.
    """

    def __init__(self, lm: Backbone, concepts: int) -> None:
        """Allocate; the MLPs' first matrices give the places and widths.

        Raises:
            RoutedNeuronsError: The MLPs are mixtures of experts.
        """
        self._readers = [input_matrices(lm.matrices, site.layer)[0] for site in lm.sites]
        self._model = lm.model
        first = self._readers[0]
        width = stored_weight(lm.model, first.name).shape[0 if first.transposed else 1]
        kind: dict[str, Any] = {"dtype": torch.float64, "device": lm.device}
        self.squares: Float[Tensor, "blocks layers concepts in"] = torch.zeros(
            BLOCKS, len(self._readers), concepts, width, **kind
        )
        self.tokens: Float[Tensor, "blocks concepts"] = torch.zeros(BLOCKS, concepts, **kind)

    @contextmanager
    def gathering(self, evidence: Bool[Tensor, "documents tokens concepts"], cluster: Tensor) -> Iterator[None]:
        """Add the one forward that runs inside: of these documents, through the dense model.

        Args:
            evidence: Which tokens are whose; see :func:`semprune.attribution.neurons.watch.token_evidence`.
            cluster: Global number of each text's document; it decides the block.

        Raises:
            CaptureError: Not every MLP ran exactly once.
        """
        block, ran = cluster % BLOCKS, []
        weights = evidence.transpose(1, 2).double()  # [documents, concepts, tokens]
        with ExitStack() as stack:
            for place, matrix in enumerate(self._readers):

                def add(_: nn.Module, args: tuple[Any, ...], place: int = place) -> None:
                    inputs = args[0].detach().reshape(*evidence.shape[:2], -1).double()
                    self.squares[:, place].index_add_(0, block, torch.bmm(weights, inputs.square()))
                    ran.append(place)

                hook = self._model.get_submodule(matrix.module).register_forward_pre_hook(add)
                stack.callback(hook.remove)
            yield
        if ran != list(range(len(self._readers))) and len(evidence):
            raise CaptureError(f"{len(ran)} MLPs ran where {len(self._readers)} were expected once each, in order")
        self.tokens.index_add_(0, block, weights.sum(2))

    def finish(self) -> None:
        """Sum over ranks."""
        sum_over_ranks(self.squares, self.tokens)

    @property
    def blocks(self) -> list[int]:
        """Blocks that hold tokens of any concept."""
        return [block for block in range(BLOCKS) if self.tokens[block].sum() > 0]

    def without(self, block: int | None = None) -> Float[Tensor, "layers concepts in"]:
        """Sums over all documents, or over all but one block's."""
        return self.squares.sum(0) if block is None else self.squares.sum(0) - self.squares[block]


def input_matrices(matrices: Sequence[PrunableMatrix], layer: int) -> list[PrunableMatrix]:
    """The matrices that read the MLP's input in one block: gate and up, one fused matrix, or up alone."""
    return [matrix for matrix in matrices if matrix.layer == layer and matrix.role in INPUT_ROLES]
