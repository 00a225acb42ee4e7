"""How the blocks of a streamed model are pruned, one after the other: with calibration, without, or by stored masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from semprune.backbones.blocks import BlockRunner, HiddenStates
from semprune.backbones.streamed import StreamedModel
from semprune.pruning.block import BlockPruner
from semprune.pruning.block_outcome import BlockOutcome
from semprune.pruning.calibration import CalibrationTokens
from semprune.pruning.hidden_file import HiddenFile
from semprune.pruning.linear import PrunableLinear
from semprune.pruning.mask_file import MaskFile
from semprune.pruning.method import Method
from semprune.pruning.output import OutputFolder
from semprune.pruning.settings import PruneSettings


class BlockSteps(Protocol):
    """Prunes one open block after the other."""

    def start(self, block: int) -> None:
        """Make ready for a block; those before it are finished."""

    def prune(self, block: int, linears: Sequence[PrunableLinear]) -> BlockOutcome:
        """Prune an open block in place."""

    def settle(self, block: int) -> None:
        """Put on the disk what the next block needs."""

    def drop(self, block: int) -> None:
        """Forget what only a finished block needed."""


class _StepsWithoutState:
    """Steps that carry nothing from one block to the next."""

    def start(self, block: int) -> None:
        """Nothing is needed."""

    def settle(self, block: int) -> None:
        """Nothing is carried."""

    def drop(self, block: int) -> None:
        """Nothing was kept."""


class WithoutCalibration(_StepsWithoutState):
    """A method that looks at no data.

    Args:
        method: The method.
        settings: How to prune.
    """

    def __init__(self, method: Method, settings: PruneSettings) -> None:
        """Nothing is pruned yet."""
        self._pruner = BlockPruner(method, settings)

    def prune(self, block: int, linears: Sequence[PrunableLinear]) -> BlockOutcome:
        """Prune from the weights alone."""
        return self._pruner.decide(linears, {})


class StoredMaskSteps(_StepsWithoutState):
    """Masks that were computed before.

    Args:
        masks: The masks, of the same weights.
    """

    def __init__(self, masks: MaskFile) -> None:
        """Nothing is pruned yet."""
        self._masks = masks

    def prune(self, block: int, linears: Sequence[PrunableLinear]) -> BlockOutcome:
        """Set to zero what the masks do not keep."""
        outcome = BlockOutcome()
        for linear in linears:
            mask = self._masks.read(linear.name)
            linear.keep(mask)
            outcome.masks[linear.name] = mask
            outcome.sparsity[linear.name] = linear.measured_sparsity()
        return outcome


class Calibrated:
    """A method that looks at what each matrix reads; hidden states are kept on the disk.

    Args:
        streamed: The model.
        tokens: Calibration sequences.
        method: The method.
        settings: How to prune.
        output: In whose work folder the hidden states are.
    """

    def __init__(
        self,
        streamed: StreamedModel,
        tokens: CalibrationTokens,
        method: Method,
        settings: PruneSettings,
        output: OutputFolder,
    ) -> None:
        """Nothing is run yet."""
        self._streamed, self._settings, self._output = streamed, settings, output
        self._tokens = tokens.take([slice(0, tokens.input_ids.shape[0])], streamed.device)
        self._pruner = BlockPruner(method, settings, tokens.input_ids.shape[0])
        self._runner: BlockRunner
        self._hidden: HiddenFile

    def start(self, block: int) -> None:
        """Record what blocks are called with, and make the first block's inputs or take up those of a later one.

        Raises:
            CaptureError: The model's forward did not call each block exactly once.
            CorruptArtefactError: The inputs that a killed run left are damaged.
        """

        def storage(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> HiddenStates:
            self._hidden = HiddenFile(self._output.work, shape, dtype, device, block)
            return self._hidden

        with self._streamed.around_blocks(), self._streamed.block(0):
            self._runner = BlockRunner(
                self._streamed.model,
                self._streamed.blocks,
                self._tokens.input_ids,
                attention_mask=self._tokens.attention_mask,
                batch_size=self._settings.forward_size,
                storage=storage,
                embed=block == 0,
            )
        if block == 0:
            self._hidden.turn()

    def prune(self, block: int, linears: Sequence[PrunableLinear]) -> BlockOutcome:
        """Prune from the block's inputs, and write the next block's."""
        return self._pruner.prune(self._runner, block, linears, self._tokens.tau, advance=not self._is_last(block))

    def settle(self, block: int) -> None:
        """Put the next block's inputs on the disk."""
        if not self._is_last(block):
            self._hidden.turn()

    def drop(self, block: int) -> None:
        """Delete the inputs of a finished block."""
        self._hidden.drop(block)

    def _is_last(self, block: int) -> bool:
        return block + 1 == len(self._streamed.blocks)
