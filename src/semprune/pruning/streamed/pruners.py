"""How the blocks of a streamed model are pruned, one after the other: with calibration, without, or by stored masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from semprune.pruning.block_pruner import BlockPruner, PrunedBlocks
from semprune.pruning.masks.file import MaskFile
from semprune.pruning.method import Method
from semprune.pruning.settings import PruneSettings
from semprune.pruning.streamed.hidden_states import StreamedInputs
from semprune.pruning.streamed.protected import StreamedGuide
from semprune.pruning.weights.linear import PrunableLinear

Allocate = Callable[[], Mapping[str, float] | None]
"""Gives the sparsity of each block, or None where all have the settings' own."""


class StreamedPruner(Protocol):
    """Prunes one open block after the other."""

    def start(self, block: int) -> None:
        """Make ready for a block; those before it are finished."""

    def prune(self, block: int, linears: Sequence[PrunableLinear]) -> PrunedBlocks:
        """Prune an open block in place."""

    def settle(self, block: int) -> None:
        """Put on the disk what the next block needs."""

    def drop(self, block: int) -> None:
        """Forget what only a finished block needed."""


class _PrunerWithoutState:
    """Carries nothing from one block to the next."""

    def start(self, block: int) -> None:
        """Nothing is needed."""

    def settle(self, block: int) -> None:
        """Nothing is carried."""

    def drop(self, block: int) -> None:
        """Nothing was kept."""


class DataFreePruner(_PrunerWithoutState):
    """A method that looks at no data.

    Args:
        method: The method.
        settings: How to prune.
        allocate: Gives the sparsity of each matrix.
    """

    def __init__(self, method: Method, settings: PruneSettings, allocate: Allocate) -> None:
        """Nothing is pruned yet."""
        self._method, self._settings, self._allocate = method, settings, allocate
        self._pruner: BlockPruner

    def start(self, block: int) -> None:
        """Share out the sparsity."""
        self._pruner = BlockPruner(self._method, self._settings, allocation=self._allocate())

    def prune(self, block: int, linears: Sequence[PrunableLinear]) -> PrunedBlocks:
        """Prune from the weights alone."""
        return self._pruner.decide(linears, {})


class StoredMaskPruner(_PrunerWithoutState):
    """Masks that were computed before.

    Args:
        masks: The masks, of the same weights.
    """

    def __init__(self, masks: MaskFile) -> None:
        """Nothing is pruned yet."""
        self._masks = masks

    def prune(self, block: int, linears: Sequence[PrunableLinear]) -> PrunedBlocks:
        """Set to zero what the masks do not keep."""
        pruned = PrunedBlocks()
        for linear in linears:
            mask = self._masks.read(linear.name)
            linear.keep(mask)
            pruned.masks[linear.name] = mask
            pruned.sparsity[linear.name] = linear.measured_sparsity()
        return pruned


class CalibratedPruner:
    """A method that looks at what each matrix reads; hidden states are kept on the disk.

    Args:
        method: The method.
        settings: How to prune.
        allocate: Gives the sparsity of each matrix.
        inputs: Makes the calibration sequences ready for a block.
        guides: Makes the text of what is to be kept ready for a block, and says what hangs on each output.
    """

    def __init__(
        self,
        method: Method,
        settings: PruneSettings,
        allocate: Allocate,
        inputs: Callable[[int], StreamedInputs],
        guides: Callable[[int], tuple[Sequence[StreamedGuide], Mapping[str, Tensor]]],
    ) -> None:
        """Nothing is run yet."""
        self._method, self._settings, self._allocate = method, settings, allocate
        self._make_inputs, self._make_guides = inputs, guides
        self._pruner: BlockPruner
        self._inputs: StreamedInputs
        self._carried: list[StreamedInputs] = []

    def start(self, block: int) -> None:
        """Share out the sparsity, and make the first block's inputs or take up those of a later one.

        Raises:
            CaptureError: The model's forward did not call each block exactly once.
            CorruptArtefactError: The inputs that a killed run left are damaged.
        """
        allocation = self._allocate()
        self._inputs = self._make_inputs(block)
        guides, outputs = self._make_guides(block)
        self._carried = [self._inputs, *(each.inputs for each in guides)]
        sequences = self._inputs.tokens.input_ids.shape[0]
        own = [each.guide for each in guides]
        self._pruner = BlockPruner(
            self._method, self._settings, sequences, allocation=allocation, guides=own, outputs=outputs
        )

    def prune(self, block: int, linears: Sequence[PrunableLinear]) -> PrunedBlocks:
        """Prune from the block's inputs, and write the next block's."""
        advance = not self._inputs.is_last(block)
        return self._pruner.prune(self._inputs.runner, block, linears, self._inputs.tokens.tau, advance=advance)

    def settle(self, block: int) -> None:
        """Put the next block's inputs on the disk."""
        for each in self._carried:
            each.settle(block)

    def drop(self, block: int) -> None:
        """Delete the inputs of a finished block."""
        for each in self._carried:
            each.drop(block)
