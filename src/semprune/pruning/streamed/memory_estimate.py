"""How much memory a streamed run will need, said before it starts: an upper bound from shapes alone."""

from __future__ import annotations

import ctypes
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from semprune.backbones.streamed import StreamedModel
from semprune.errors import MemoryLimitError
from semprune.pruning.calibration import together
from semprune.pruning.guidance.protected_text import ProtectedText
from semprune.pruning.guidance.strength import AUTO, CANDIDATES
from semprune.pruning.method import Method
from semprune.pruning.strength_search import EVERY, MOST_SEQUENCES
from semprune.pruning.weights.linear import PrunableLinear, prunable_linears

FP32, FP64 = 4, 8
INPUTS = {"q": "in", "k": "in", "v": "in", "qkv": "in", "gate": "mlp", "up": "mlp", "gate_up": "mlp"}
"""Roles of matrices that read the same input."""
INVERSE_COPIES = 5
"""Matrices of SparseGPT's two factorisations that are alive together."""
GRADIENT_COPIES = 3
"""Times the activations of a forward that a block holds while gradients flow back through it (ours)."""
LOGIT_COPIES = 4
"""fp32 copies of logits, log-probabilities and their gradients that are alive together, if every token is scored."""
SLACK = 256 * 2**20
"""Bytes for what no shape tells: libraries' buffers, the allocator's leftovers, attention masks. Measured; ours."""
WORKING_BYTES = 24
"""Bytes per weight of the matrix in work: fp32 scores, their partial sort with its indices, masks. Measured; ours."""
SWEPT_BYTES = 16
"""Bytes per weight of all matrices of one input, which SparseGPT sweeps together: fp32 weights before, in and after an
update, masks."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that a run will need at most.

    Attributes:
        base: What the process holds before it starts.
        steps: What each step of the work adds; they come one after the other.
    """

    base: int
    steps: Mapping[str, int]

    @property
    def largest(self) -> str:
        """The step that needs most."""
        return max(self.steps, key=lambda name: self.steps[name])

    @property
    def peak(self) -> int:
        """Bytes at the worst moment."""
        return self.base + self.steps[self.largest] + SLACK

    def require(self, limit_bytes: int | None) -> None:
        """Refuse to start where the peak is above a limit.

        Raises:
            MemoryLimitError: It is.
        """
        if limit_bytes is not None and self.peak > limit_bytes:
            raise MemoryLimitError(self.peak, limit_bytes, self.largest)


def estimate_memory(
    streamed: StreamedModel,
    method: Method | None,
    *,
    calibrated: bool,
    batch_size: int,
    length: int,
    base_bytes: int,
    protected: Sequence[ProtectedText] = (),
) -> MemoryEstimate:
    """Return what a streamed run needs.

    Source: ours.

    Args:
        streamed: The model.
        method: The pruning method; None for stored masks.
        calibrated: Whether calibration sequences are run, for the method or for the allocation.
        batch_size: Sequences per forward.
        length: Tokens of each.
        base_bytes: What the process holds already.
        protected: Text of what is to be kept.
    """
    longest = max([length, *(text.tokens.input_ids.shape[1] for text in protected)])
    quick = [tuple(text.tokens.input_ids.shape) for text in protected]
    if any(text.strength == AUTO for text in protected):
        quick.append((MOST_SEQUENCES, length))
    tokens = max([batch_size * length, *(min(rows, together(of, batch_size)) * of for rows, of in quick)])
    linears = prunable_linears(streamed.model)
    block = max(_bytes(block) for block in streamed.blocks)
    weights = block + _converted_bytes(streamed)
    masks = max(sum(linear.stored.numel() for linear in inside) for inside in linears.values())
    working = max(_working_bytes(method, inside) for inside in linears.values())
    steps = {"the weights of one block and its masks": weights + masks + (working if method is not None else 0)}
    if calibrated and method is not None:
        forward = max(_forward_bytes(streamed, inside, tokens) for inside in linears.values())
        gathered = max(_statistics_bytes(method, inside) for inside in linears.values())
        steps["the embeddings and one block"] = _around_bytes(streamed) + weights + forward
        gathered += max((_guided_bytes(method, inside) for inside in linears.values()), default=0) if protected else 0
        tau = FP32 * len(streamed.matrices) * sum(text.tokens.input_ids.numel() for text in protected)
        steps["one block and the statistics of its inputs"] = weights + gathered + tau + max(forward, working + masks)
        if protected:
            steps["one block and the gradients of what is protected"] = weights + tau + GRADIENT_COPIES * forward
            if any(text.strength == AUTO for text in protected):
                tried = _tried_bytes(streamed, protected, longest)
                side = weights + block + gathered + tau + max(forward, working + masks) + tried
                steps["one block, its copy and the text that strengths are tried on"] = side
            steps["the head and the logits of what is protected"] = _head_bytes(streamed, protected) + tau + forward
    return MemoryEstimate(base_bytes, steps)


def _forward_bytes(streamed: StreamedModel, linears: Sequence[PrunableLinear], tokens: int) -> int:
    """Inputs and outputs of all matrices at once, in the model's format, and the fp32 copies of norms and squares."""
    alone = {(linear.module, linear.weight.shape): linear for linear in linears}.values()  # one expert for all
    widths = sum(sum(linear.weight.shape) for linear in alone)
    widest = max(max(linear.weight.shape) for linear in alone)
    return tokens * (widths * streamed.dtype.itemsize + 3 * widest * FP32)


def _working_bytes(method: Method | None, linears: Sequence[PrunableLinear]) -> int:
    """What is alive while the largest matrix, or all matrices of the largest input, are decided about."""
    largest = WORKING_BYTES * max(linear.stored.numel() for linear in linears)
    if method is None or method.needs != "second_moments":
        return largest
    swept: dict[tuple[str, int | None], int] = defaultdict(int)
    for linear in linears:
        swept[_input(linear)] += SWEPT_BYTES * linear.stored.numel()
    return max(largest, *swept.values())


def _input(linear: PrunableLinear) -> tuple[str, int | None]:
    """Return what matrices have in common that read one tensor."""
    return INPUTS.get(linear.matrix.role, linear.matrix.role), linear.matrix.expert


def _statistics_bytes(method: Method, linears: Sequence[PrunableLinear]) -> int:
    """Second moments of each input, fp64 and fp32, and the copies in which one is inverted; squares are tiny."""
    if method.needs != "second_moments":
        return 0
    widths = {_input(linear): linear.weight.shape[1] for linear in linears}
    squares = [width**2 for width in widths.values()]
    return (FP64 + FP32) * sum(squares) + INVERSE_COPIES * FP32 * max(squares)


def _guided_bytes(method: Method, linears: Sequence[PrunableLinear]) -> int:
    """Second moments of every matrix by itself, fp64 and fp32, and together with those of general text."""
    if method.needs != "second_moments":
        return 0
    return (FP64 + 2 * FP32) * sum(linear.weight.shape[1] ** 2 for linear in linears)


def _head_bytes(streamed: StreamedModel, protected: Sequence[ProtectedText]) -> int:
    """All weights outside the blocks, and the logits of the largest batch with their gradients."""
    tied = set(streamed.model.all_tied_weights_keys)
    outside = (
        value for name, value in streamed.model.named_parameters() if name not in tied and not streamed.in_a_block(name)
    )
    tokens = max(batch.input_ids.numel() for text in protected for batch in text.batches)
    vocabulary: int = streamed.model.config.get_text_config().vocab_size
    return _size(outside) + tokens * vocabulary * (2 * streamed.dtype.itemsize + LOGIT_COPIES * FP32)


def _tried_bytes(streamed: StreamedModel, protected: Sequence[ProtectedText], length: int) -> int:
    """Hidden states of what is held out, for the dense model and every strength."""
    width: int = streamed.model.config.get_text_config().hidden_size
    places = MOST_SEQUENCES // EVERY * length + sum(text.tokens.input_ids.numel() for text in protected)
    return (len(CANDIDATES) + 3) * places * width * streamed.dtype.itemsize


def _converted_bytes(streamed: StreamedModel) -> int:
    """Tensors of one block as they are stored, where they are not the parameters themselves."""
    sizes = [0] * len(streamed.blocks)
    prefix = f"{streamed.family.layers}."
    for name, place in streamed.places.items():
        stored = streamed.checkpoint.tensors[name]
        if place.startswith(prefix) and (stored.dtype != streamed.dtype or name not in streamed.conversion.renamed):
            sizes[int(place.removeprefix(prefix).split(".")[0])] += stored.size_bytes
    return max(sizes)


def _around_bytes(streamed: StreamedModel) -> int:
    inside = {id(value) for block in streamed.blocks for value in block.parameters()}
    return _size(value for value in streamed.model.base_model.parameters() if id(value) not in inside)


def _bytes(module: nn.Module) -> int:
    return _size(module.parameters())


def _size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(value.numel() * value.element_size() for value in parameters)


def return_free_memory() -> None:
    """Hand what is freed back to the system, where the allocator can be told to (glibc).

    It keeps the pieces that it thinks will be asked for again; from block to block they would add up.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
