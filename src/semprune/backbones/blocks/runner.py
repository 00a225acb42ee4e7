"""Runs a model block by block over calibration sequences, with one copy of the activations in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.blocks.calls import BlockCall, CallRecorder
from semprune.backbones.hardware import differentiable
from semprune.backbones.readout import Places, read_out


class HiddenStates(Protocol):
    """Hidden states of all sequences, read and written batch by batch: a tensor, or what keeps them elsewhere.

    What is written is read again only after the block has run over all batches.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Sequences, tokens, width."""

    def __getitem__(self, batch: slice) -> Tensor:
        """Return the states of a batch, on the model's device."""

    def __setitem__(self, batch: slice, states: Tensor) -> None:
        """Take the states of a batch."""


Storage = Callable[[tuple[int, ...], torch.dtype, torch.device], HiddenStates]
"""Makes the place of hidden states of a shape, in a number format, of a model on a device."""


def in_memory(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> HiddenStates:
    """Keep hidden states in one tensor on the model's device."""
    return torch.empty(shape, dtype=dtype, device=device)


class BlockRunner:
    """Holds the inputs of the next block and runs one block at a time.

    Use it inside :func:`calibrating`. Padding keeps its place in ``hidden``; what the model computes there is without
    meaning and may be NaN. Behind the last token of a batch nothing is computed: ``hidden`` is 0 there.

    Attributes:
        hidden: Inputs of the next block, ``[sequences, tokens, width]``, in the model's dtype.
        batches: Slices of the sequences, in order; the last one may be shorter.

    Args:
        model: A Hugging Face causal language model.
        blocks: Its decoder blocks, in order.
        input_ids: Calibration sequences, on the model's device; where there are none, nothing runs.
        attention_mask: 1 for tokens, 0 for padding; None where nothing is padded.
        batch_size: Sequences per forward.
        storage: Where hidden states are kept.
        embed: Put the first block's inputs into ``hidden``. False where the storage holds those of a later block.

    Raises:
        CaptureError: The model's forward did not call each block exactly once.
    """

    hidden: HiddenStates

    def __init__(
        self,
        model: nn.Module,
        blocks: Iterable[nn.Module],
        input_ids: Int[Tensor, "sequences tokens"],
        *,
        attention_mask: Int[Tensor, "sequences tokens"] | None = None,
        batch_size: int = 8,
        storage: Storage = in_memory,
        embed: bool = True,
    ) -> None:
        """Run the model's own forward once per batch, around its blocks."""
        self._blocks = tuple(blocks)
        self.batches = split_batches(input_ids.shape[0], batch_size)
        self.hidden = in_memory((0, 0, 0), torch.float32, torch.device("cpu"))
        self._calls: list[tuple[BlockCall, ...]] = []
        self._lengths: list[int] = []
        self._model = model
        self._recorder = CallRecorder(model, self._blocks)
        for batch in self.batches:
            length = input_ids.shape[1] if attention_mask is None else _reach(attention_mask[batch])
            mask = None if attention_mask is None else attention_mask[batch, :length]
            embedded, calls = self._recorder.record(input_ids[batch, :length], mask)
            if not self._calls:
                shape = (*input_ids.shape, *embedded.shape[2:])
                self.hidden = storage(shape, embedded.dtype, embedded.device)
            if embed:
                self.hidden[batch] = self._filled(embedded)
            self._calls.append(calls)
            self._lengths.append(length)

    def length(self, batch: slice) -> int:
        """Tokens up to the last real one of one of ``batches``: what a block reads of it."""
        return self._lengths[self.batches.index(batch)]

    def run(self, block: int, *, advance: bool, on_batch: Callable[[slice], None] | None = None) -> None:
        """Run one block over all batches.

        Args:
            block: Index of the block whose inputs ``hidden`` holds.
            advance: True overwrites ``hidden`` with the outputs, the next block's inputs. False drops the outputs:
                only hooks see this pass.
            on_batch: Called with the batch's slice before each forward.
        """
        module = self._blocks[block]
        for batch, calls in zip(self.batches, self._calls, strict=True):
            if on_batch is not None:
                on_batch(batch)
            call = calls[block]
            output = module(self.hidden[batch][:, : self.length(batch)], *call.args, **call.kwargs)
            if advance:
                self.hidden[batch] = self._filled(output if isinstance(output, Tensor) else output[0])

    def pull_back(self, block: int, batch: slice, gradients: HiddenStates) -> None:
        """Turn gradients at a block's outputs into those at its inputs, which ``hidden`` holds.

        Args:
            block: Index of the block.
            batch: One of ``batches``.
            gradients: At its outputs; those at its inputs are written there.
        """
        call, length = self._calls[self.batches.index(batch)][block], self.length(batch)
        states = self.hidden[batch][:, :length]
        with differentiable(states.device):
            inputs = states.detach().requires_grad_()
            output = self._blocks[block](inputs, *call.args, **call.kwargs)
            output = output if isinstance(output, Tensor) else output[0]
            (found,) = torch.autograd.grad(output, inputs, gradients[batch][:, :length])
        gradients[batch] = self._filled(found)

    def _filled(self, states: Float[Tensor, "rows length width"]) -> Float[Tensor, "rows tokens width"]:
        """Fill states up with zeros to the length of all sequences."""
        missing = self.hidden.shape[1] - states.shape[1]
        return nn.functional.pad(states, (0, 0, 0, missing)) if missing else states

    def logits(
        self,
        states: Float[Tensor, "rows tokens width"],
        input_ids: Int[Tensor, "rows tokens"],
        attention_mask: Int[Tensor, "rows tokens"] | None,
        places: Places,
    ) -> Float[Tensor, "positions vocabulary"]:
        """Return logits at places of text from the outputs of the last block: norm and head alone are run."""
        forward = partial(self._recorder.logits, self._model, states, input_ids, attention_mask)
        return read_out(self._model, forward, places).logits


def _reach(mask: Int[Tensor, "rows tokens"]) -> int:
    """Columns up to the last one that holds a token."""
    return int(mask.any(0).nonzero().max()) + 1


def split_batches(sequences: int, batch_size: int) -> tuple[slice, ...]:
    """Return the slices of consecutive batches.

    Example:
        >>> split_batches(5, 2)
        (slice(0, 2, None), slice(2, 4, None), slice(4, 5, None))
    """
    return tuple(slice(start, min(start + batch_size, sequences)) for start in range(0, sequences, batch_size))


@contextmanager
def calibrating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, ordinary (not inference) tensors; every module's mode comes back on leaving."""
    training = [module for module in model.modules() if module.training]
    try:
        model.eval()
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
