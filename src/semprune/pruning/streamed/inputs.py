"""The inputs of a streamed model's blocks: hidden states on the disk, and what each block is called with."""

from __future__ import annotations

from pathlib import Path

import torch

from semprune.backbones.blocks.runner import BlockRunner, HiddenStates
from semprune.backbones.streamed import StreamedModel
from semprune.pruning.calibration import CalibrationTokens
from semprune.pruning.settings import PruneSettings
from semprune.pruning.streamed.hidden_file import HiddenFile


class StreamedInputs:
    """Calibration sequences on their way through a streamed model.

    Attributes:
        runner: Runs an open block over the inputs that its file holds.
        tokens: The sequences, on the model's device.

    Args:
        streamed: The model.
        tokens: Calibration sequences.
        settings: How many go through a block together.
        folder: Where the files of hidden states are.
        block: The block to start at; the files of a later one than 0 must be there.

    Raises:
        CaptureError: The model's forward did not call each block exactly once.
        CorruptArtefactError: The inputs that a killed run left are damaged.
    """

    runner: BlockRunner

    def __init__(
        self, streamed: StreamedModel, tokens: CalibrationTokens, settings: PruneSettings, folder: Path, block: int
    ) -> None:
        """Run the model's own forward around its blocks, with the embeddings and one block in memory."""
        self._last = len(streamed.blocks) - 1
        self._hidden: HiddenFile
        self.tokens = tokens.take([slice(0, tokens.input_ids.shape[0])], streamed.device)

        def storage(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> HiddenStates:
            self._hidden = HiddenFile(folder, shape, dtype, device, block)
            return self._hidden

        with streamed.around_blocks(), streamed.block(0):
            self.runner = BlockRunner(
                streamed.model,
                streamed.blocks,
                self.tokens.input_ids,
                attention_mask=self.tokens.attention_mask,
                batch_size=settings.forward_size,
                storage=storage,
                embed=block == 0,
            )
        if block == 0:
            self._hidden.turn()

    def is_last(self, block: int) -> bool:
        """Whether nobody needs a block's outputs."""
        return block == self._last

    def settle(self, block: int) -> None:
        """Put the outputs of a block, the next one's inputs, on the disk; its own inputs stay."""
        if not self.is_last(block):
            self._hidden.turn()

    def drop(self, block: int) -> None:
        """Delete the inputs of a block."""
        self._hidden.drop(block)
