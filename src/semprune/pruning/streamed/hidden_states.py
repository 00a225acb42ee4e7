"""The inputs of a streamed model's blocks: hidden states on the disk, and the calls."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from semprune.backbones.blocks.runner import BlockRunner, HiddenStates
from semprune.backbones.streamed import StreamedModel
from semprune.errors import CorruptArtefactError
from semprune.io.tensor_files import tensor_bytes
from semprune.pruning.calibration import CalibrationTokens, together
from semprune.pruning.settings import PruneSettings


class HiddenFile:
    """Hidden states of all calibration sequences, in one file per step.

    They are read and written by plain file access: the system keeps as much of it in memory as there is room for, and
    none of it counts as memory of this process.

    Attributes:
        shape: Sequences, tokens, width.

    Args:
        folder: Where the files are.
        shape: Sequences, tokens, width.
        dtype: Number format.
        device: Where batches that are read go.
        block: The block whose inputs are read; its file must be there, but for block 0.

    Raises:
        CorruptArtefactError: The block's inputs are not there, or not of this shape.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, block: int = 0
    ) -> None:
        """Open what a killed run left, or nothing."""
        self.shape = shape
        self._folder, self._dtype, self._device = folder, dtype, device
        self._row_bytes = prod(shape[1:]) * dtype.itemsize
        self._block: int | None = None  # whose inputs are in the file that is read; None before the first
        if block:
            self._require(self._path(block))
            self._block = block
        self._written = self._path(self._next).with_suffix(".part")
        self._written.write_bytes(b"")

    def __getitem__(self, batch: slice) -> Tensor:
        """Return the inputs of a batch, on the device."""
        assert self._block is not None
        states = torch.empty((batch.stop - batch.start, *self.shape[1:]), dtype=self._dtype)
        with self._path(self._block).open("rb") as file:
            file.seek(batch.start * self._row_bytes)
            file.readinto(tensor_bytes(states))
        return states.to(self._device)

    def __setitem__(self, batch: slice, states: Tensor) -> None:
        """Write the outputs of a batch."""
        with self._written.open("r+b") as file:
            file.seek(batch.start * self._row_bytes)
            file.write(tensor_bytes(states))

    def back_to(self, block: int) -> None:
        """Read the inputs of a block that were not dropped.

        Raises:
            CorruptArtefactError: They are not there, or not of this shape.
        """
        self._require(self._path(block))
        self._block = block

    def turn(self) -> None:
        """Make what was written the next block's inputs; it is on the disk then. What was read stays until ``drop``."""
        with self._written.open("rb") as file:
            os.fsync(file.fileno())
        self._written.replace(self._path(self._next))
        self._block = self._next
        self._written = self._path(self._next).with_suffix(".part")
        self._written.write_bytes(b"")

    def drop(self, block: int) -> None:
        """Delete the inputs of a block that is finished."""
        self._path(block).unlink(missing_ok=True)

    @property
    def _next(self) -> int:
        return 0 if self._block is None else self._block + 1

    def _path(self, block: int) -> Path:
        return self._folder / f"hidden-{block:05d}.bin"

    def _require(self, path: Path) -> None:
        expected = self._row_bytes * self.shape[0]
        if not path.is_file() or path.stat().st_size != expected:
            remedy = f"Delete {self._folder.parent} and run the same command again."
            raise CorruptArtefactError(path, f"it does not hold {expected} bytes of hidden states", remedy)


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
        short: Let more of them go through together where they are short.

    Raises:
        CaptureError: The model's forward did not call each block exactly once.
        CorruptArtefactError: The inputs that a killed run left are damaged.
    """

    runner: BlockRunner

    def __init__(
        self,
        streamed: StreamedModel,
        tokens: CalibrationTokens,
        settings: PruneSettings,
        folder: Path,
        block: int,
        *,
        short: bool = False,
    ) -> None:
        """Run the model's own forward around its blocks, with the embeddings and one block in memory."""
        self._last = len(streamed.blocks) - 1
        self._hidden: HiddenFile
        size = together(tokens.input_ids.shape[1], settings.forward_size) if short else settings.forward_size
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
                batch_size=size,
                storage=storage,
                embed=block == 0,
            )
        if block == 0:
            self._hidden.turn()

    @property
    def hidden(self) -> HiddenFile:
        """The file of hidden states."""
        return self._hidden

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
