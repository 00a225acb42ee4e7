"""What is to be kept in a streamed model: weights of its tokens by one pass to the last block and back, on the disk.

Forwards, the inputs of every block are kept; backwards, each block is run once more, with the gradient at its outputs.
One block's weights are in memory at a time, and one batch's activations.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from semprune.backbones.streamed import StreamedModel
from semprune.errors import NonFiniteError
from semprune.io.tensor_files import write_safetensors
from semprune.pruning.guidance.fisher import Fisher, Sums, WeighedText, finished, weighing
from semprune.pruning.guidance.guide import Guide
from semprune.pruning.guidance.protected_text import ProtectedText
from semprune.pruning.method import Needs
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import Gatherer
from semprune.pruning.streamed.hidden_states import HiddenFile, StreamedInputs
from semprune.pruning.streamed.memory_estimate import return_free_memory
from semprune.pruning.streamed.weights_folder import FORMAT, read_stored, stored_names
from semprune.pruning.weights.linear import PrunableLinear, check_finite, prunable_linears

TOKENS, OUTPUTS, PRODUCTS = "tokens.", "outputs.", "products."
"""What the names of stored weights begin with."""


@dataclass(frozen=True, slots=True)
class StreamedGuide:
    """What is to be kept, on its way through a streamed model.

    Attributes:
        inputs: Its text before the next block.
        guide: Adds it to the statistics.
    """

    inputs: StreamedInputs
    guide: Guide


def weigh_streamed(
    streamed: StreamedModel, texts: Sequence[ProtectedText], settings: PruneSettings, work: Path
) -> list[WeighedText]:
    """Return every text with the weights of its tokens and of outputs in the dense model.

    They are kept in the work folder: a resumed run, whose first blocks are pruned already, takes them from there.

    Raises:
        NonFiniteError: A weight, the score or a gradient is NaN or infinite.
    """
    found = []
    for number, text in enumerate(texts):
        kept = work / f"weights-{number}.safetensors"
        if not kept.is_file():
            folder = work / "weighing"
            shutil.rmtree(folder, ignore_errors=True)
            fisher = _Weighing(streamed, text, settings, folder).run()
            write_safetensors(kept, _named(fisher), FORMAT)
            shutil.rmtree(folder)
        found.append(WeighedText(text, _read(kept)))
    return found


def _named(fisher: Fisher) -> dict[str, Tensor]:
    kinds = {TOKENS: fisher.tokens, OUTPUTS: fisher.outputs, PRODUCTS: fisher.products}
    return {f"{kind}{name}": value.cpu() for kind, own in kinds.items() for name, value in own.items()}


def _read(path: Path) -> Fisher:
    names = stored_names(path)
    return Fisher(*(
        {name.removeprefix(kind): read_stored(path, name) for name in names if name.startswith(kind)}
        for kind in (TOKENS, OUTPUTS, PRODUCTS)
    ))  # fmt: skip


def start_streamed_guides(
    streamed: StreamedModel,
    texts: Sequence[WeighedText],
    settings: PruneSettings,
    needs: Needs,
    folder: Path,
    block: int,
) -> list[StreamedGuide]:
    """Make the texts ready for a block; the files of a later one than 0 must be there."""
    guides = []
    for number, (text, fisher) in enumerate(texts):
        place = folder / f"protected-{number}"
        place.mkdir(exist_ok=True)
        inputs = StreamedInputs(streamed, text.tokens, settings, place, block, short=True)
        gatherer = Gatherer(needs, "exact", len(text.tokens.input_ids), keep_unrouted=True)
        tau = {name: value.to(streamed.device) for name, value in fisher.tokens.items()}
        guides.append(StreamedGuide(inputs, Guide(inputs.runner, tau, gatherer, text.number)))
    return guides


class _Weighing:
    """One text's way to the last block and back."""

    def __init__(self, streamed: StreamedModel, text: ProtectedText, settings: PruneSettings, folder: Path) -> None:
        (folder / "hidden").mkdir(parents=True)
        (folder / "gradients").mkdir()
        self._streamed, self._text, self._folder = streamed, text, folder
        self._inputs = StreamedInputs(streamed, text.tokens, settings, folder / "hidden", 0, short=True)
        self._linears = prunable_linears(streamed.model)
        every = [linear for linears in self._linears.values() for linear in linears]
        self._sums = Sums.zeros(every, text.tokens.input_ids.shape, streamed.device)

    def run(self) -> Fisher:
        hidden = self._inputs.hidden
        for block, linears in self._linears.items():
            with self._streamed.block(block):
                check_finite(linears)
                self._inputs.runner.run(block, advance=True)
            hidden.turn()
        gradients = self._at_the_end(hidden)
        for block in reversed(self._linears):
            hidden.back_to(block)
            with self._streamed.block(block):
                self._back(block, gradients)
            gradients.turn()
            gradients.drop(len(self._linears) - 1 - block)
            hidden.drop(block + 1)
            return_free_memory()
        return finished(self._sums, self._text)

    def _at_the_end(self, hidden: HiddenFile) -> HiddenFile:
        """The gradients of the score at the last block's outputs."""
        device = self._streamed.device
        gradients = HiddenFile(self._folder / "gradients", hidden.shape, self._streamed.dtype, device)
        first, longest = 0, hidden.shape[1]
        with self._streamed.outside_blocks():
            for batch in self._text.batches:
                count, length = batch.input_ids.shape
                rows = slice(first, first + count)
                states = hidden[rows][:, :length].detach().requires_grad_()
                with torch.enable_grad():
                    ids, mask = batch.input_ids.to(device), batch.attention_mask.to(device)
                    score = batch.score(self._inputs.runner.logits(states, ids, mask, batch.places))
                    if not score.isfinite():
                        raise NonFiniteError("the score of what is protected")
                    (gradient,) = torch.autograd.grad(score, states)
                padded = torch.nn.functional.pad(gradient, (0, 0, 0, longest - length))
                gradients[rows] = padded.to(self._streamed.dtype).contiguous()
                first += count
        gradients.turn()
        return gradients

    def _back(self, block: int, gradients: HiddenFile) -> None:
        linears: Sequence[PrunableLinear] = self._linears[block]
        runner, mask = self._inputs.runner, self._inputs.tokens.attention_mask
        self._sums.see_weights(linears)
        for batch in runner.batches:
            real = batch, slice(0, runner.length(batch))
            with weighing(linears, self._sums, real, None if mask is None else mask[real]):
                runner.pull_back(block, batch, gradients)
