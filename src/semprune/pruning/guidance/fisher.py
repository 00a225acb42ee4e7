"""How much what is to be kept hangs on each token, at each matrix: one forward and backward of the dense model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.blocks.calls import replaced_forward
from semprune.backbones.blocks.experts import ObserveExpert, routed_forward
from semprune.backbones.hardware import differentiable
from semprune.backbones.readout import read_model
from semprune.errors import CaptureError, NonFiniteError
from semprune.io.distributed import distributed as several_ranks
from semprune.io.distributed import rank, sum_over_ranks
from semprune.pruning.guidance.controls import controlled, controlled_outputs
from semprune.pruning.guidance.protected_text import ProtectedText, ScoredBatch
from semprune.pruning.weights.linear import PrunableLinear


@dataclass(frozen=True, slots=True)
class Fisher:
    """The Fisher information of what is to be kept, of each matrix by its name.

    Attributes:
        tokens: Of each token, 0 at padding, divided by the mean of those that are not 0.
        outputs: Of each output of a matrix, summed over tokens; of a control that knows of none it is empty.
        products: How large the products are that a matrix sums up, `E x² · E w²` over its inputs and weights.
    """

    tokens: Mapping[str, Float[Tensor, "rows tokens"]]
    outputs: Mapping[str, Float[Tensor, " out"]] = field(default_factory=dict)
    products: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)


class WeighedText(NamedTuple):
    """The text of what is to be kept, and how much hangs on its tokens and on outputs."""

    text: ProtectedText
    fisher: Fisher


@dataclass(frozen=True, slots=True)
class Sums:
    """What is added up while a text is read forwards and backwards, of each matrix by its name.

    Attributes:
        tokens: Mean squared gradient of each token's outputs.
        outputs: Squared gradient of each output, summed over tokens.
        inputs: Mean square of a token's input, summed over tokens, and how many these are.
        weights: Mean square of the weights.
    """

    tokens: dict[str, Float[Tensor, "rows tokens"]]
    outputs: dict[str, Float[Tensor, " out"]]
    inputs: dict[str, Float[Tensor, "2"]]
    weights: dict[str, Float[Tensor, ""]]

    @classmethod
    def zeros(cls, linears: Sequence[PrunableLinear], shape: torch.Size, device: torch.device) -> Sums:
        """Nothing is read yet of a text of that shape."""
        each = {linear.name: (shape, linear.weight.shape[:1], (2,), ()) for linear in linears}
        zeros = [{name: torch.zeros(shapes[kind], device=device) for name, shapes in each.items()} for kind in range(4)]
        return cls(*zeros)

    def see_weights(self, linears: Iterable[PrunableLinear]) -> None:
        """Take down how large weights are, while they are in memory."""
        for linear in linears:
            self.weights[linear.name] = linear.weight.float().square().mean()

    def of_ranks(self) -> None:
        """Add what the other ranks have read: each row is one rank's, and the others add zeros."""
        for kind in (self.tokens, self.outputs, self.inputs):
            for values in kind.values():
                sum_over_ranks(values)

    def products(self, name: str) -> Float[Tensor, ""]:
        """See :class:`Fisher`; 0 where no token came."""
        total, count = self.inputs[name]
        found: Tensor = total / count.clamp_min(1) * self.weights[name]
        return found


Record = Callable[[str, Float[Tensor, "places out"], Tensor | None], None]
"""Takes a matrix, what it reads or the gradient at its output, and which tokens these are (None for all, in order)."""


def fisher_weights(
    model: nn.Module, linears: Sequence[PrunableLinear], text: ProtectedText, *, distributed: bool = False
) -> Fisher:
    r"""Return the weight of each token and output for each matrix: the Fisher information of what is to be kept.

    .. math:: \tau_t = \frac{1}{d} \sum_{i=1}^{d} \Big(\frac{\partial s}{\partial y_{ti}}\Big)^2, \quad
        g_i = \sum_t \Big(\frac{\partial s}{\partial y_{ti}}\Big)^2, \quad y = Wx

    Only ratios count. No weight gets a gradient; of the activations, one batch's are in
    memory at a time. With several ranks each runs its share of the batches.

    Source: equations.md G2.

    Args:
        model: The dense model, in evaluation mode; left as it is.
        linears: All its prunable matrices.
        text: The text, and what is scored.
        distributed: Whether every rank makes this call with the same text.

    Returns:
        On the model's device.

    Raises:
        NonFiniteError: The score or a gradient is NaN or infinite.
        CaptureError: A matrix took no part in the forward.
    """
    device = next(model.parameters()).device
    sums = Sums.zeros(linears, text.tokens.input_ids.shape, device)
    sums.see_weights(linears)
    shared, first = distributed and several_ranks(), 0
    for number, batch in enumerate(text.batches):
        count, length = batch.input_ids.shape
        if not shared or number % torch.distributed.get_world_size() == rank():
            _fill(sums, (slice(first, first + count), slice(0, length)), model, linears, batch)
        first += count
    if shared:
        sums.of_ranks()
    return finished(sums, text)


def finished(sums: Sums, text: ProtectedText) -> Fisher:
    """Return weights as statistics read them: those of tokens scaled, or what a control has instead.

    Raises:
        NonFiniteError: A weight is NaN or infinite; names the matrix.
    """
    own = {name: scaled(name, weights) for name, weights in sums.tokens.items()}
    return Fisher(
        controlled(own, text.mask, text.weights),
        controlled_outputs(sums.outputs, text.weights),
        {name: sums.products(name) for name in own},
    )


def scaled(name: str, weights: Float[Tensor, "rows tokens"]) -> Float[Tensor, "rows tokens"]:
    """Divide weights, in place, by the mean of those that are not 0.

    Raises:
        NonFiniteError: One is NaN or infinite; names the matrix.
    """
    total = weights.sum(dtype=torch.float64)
    if not total.isfinite():
        raise NonFiniteError(f"the gradient of what is protected at {name}")
    return weights if total == 0 else weights.mul_(float(weights.count_nonzero() / total))


def _fill(
    sums: Sums, rows: tuple[slice, slice], model: nn.Module, linears: Sequence[PrunableLinear], batch: ScoredBatch
) -> None:
    """Add one batch, which is some rows and the first tokens of its text."""
    device = next(model.parameters()).device
    inputs = {"input_ids": batch.input_ids.to(device), "attention_mask": batch.attention_mask.to(device)}
    with (
        differentiable(device),
        weighing(linears, sums, rows, inputs["attention_mask"]) as seen,
        _graph_from(model) as begun,
    ):
        score = batch.score(read_model(model, inputs, batch.places).logits)
        if not score.isfinite():
            raise NonFiniteError("the score of what is protected")
        torch.autograd.grad(score, begun)  # not backward(): parameters that are not frozen would get a gradient
    missed = [linear.name for linear in linears if linear.name not in seen and linear.matrix.expert is None]
    if missed:
        raise CaptureError(f"no gradient reached {missed[0]}: it took no part in the forward")


@contextmanager
def _graph_from(model: nn.Module) -> Iterator[list[Tensor]]:
    """Begin the graph at the embeddings, which are put into the yielded list: the frozen model would build none."""
    begun: list[Tensor] = []

    def begin(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        begun.append(output.detach().requires_grad_())
        return begun[-1]

    embeddings: nn.Module = model.get_input_embeddings()  # type: ignore[operator]  # any Hugging Face model has it
    handle = embeddings.register_forward_hook(begin)
    try:
        yield begun
    finally:
        handle.remove()


@contextmanager
def weighing(
    linears: Sequence[PrunableLinear], sums: Sums, rows: tuple[slice, slice], mask: Int[Tensor, "rows tokens"] | None
) -> Iterator[set[str]]:
    """Add one batch while its gradients flow back; each gradient is let go then.

    Args:
        linears: The matrices that take part.
        sums: What is added to.
        rows: Rows and tokens of the text that the batch is.
        mask: 1 for tokens, 0 for padding; None where nothing is padded.

    Yields:
        The names of the matrices that a gradient has reached so far.
    """
    seen: set[str] = set()
    last: tuple[Tensor, Tensor] | None = None

    def real(values: Tensor, tokens: Tensor | None) -> Tensor:
        if mask is None:
            return values.new_ones(values.shape[:-1].numel(), dtype=torch.float32)
        flat = mask.flatten().float()
        return flat if tokens is None else flat[tokens]

    def read(name: str, inputs: Tensor, tokens: Tensor | None) -> None:
        nonlocal last
        if last is None or last[0] is not inputs:  # else another matrix has just read it
            counted = real(inputs, tokens)
            last = inputs, torch.stack([mean_squares(inputs.detach()) @ counted, counted.sum()])
        sums.inputs[name] += last[1]

    def record(name: str, gradient: Tensor, tokens: Tensor | None) -> None:
        seen.add(name)
        counted, own = real(gradient, tokens), sums.tokens[name][rows]
        squares = gradient.flatten(0, -2).to(torch.float32, copy=True).square_()  # in place: twice as fast and more
        sums.outputs[name].addmv_(squares.t(), counted)
        flat = squares.mean(-1) * counted
        if tokens is not None:
            flat = flat.new_zeros(own.numel()).index_copy_(0, tokens, flat)
        own.copy_(flat.view(own.shape))

    with ExitStack() as stack:
        for linear in linears:
            if linear.matrix.expert is None:
                stack.callback(linear.module.register_forward_hook(_hook(linear.name, read, record)).remove)
        for experts in dict.fromkeys(each.module for each in linears if each.matrix.expert is not None):
            names = {
                (each.matrix.parameter, each.matrix.expert): each.name for each in linears if each.module is experts
            }
            reads, records = _routed_hooks(names, read, record)
            stack.enter_context(replaced_forward(experts, routed_forward(experts, reads, observe_output=records)))
        yield seen


def mean_squares(values: Float[Tensor, "*places width"]) -> Float[Tensor, " tokens"]:
    """Mean square of each token's values, fp32, without a copy of them."""
    wide = torch.promote_types(values.dtype, torch.float32)
    norms: Tensor = torch.linalg.vector_norm(values.flatten(0, -2), dim=-1, dtype=wide)
    return norms.square_().div_(values.shape[-1]).float()


def _hook(name: str, read: Record, record: Record) -> Callable[[nn.Module, Any, Tensor], None]:
    def hook(_module: nn.Module, args: Any, output: Tensor) -> None:
        read(name, args[0], None)
        output.register_hook(lambda gradient: record(name, gradient, None))

    return hook


def _routed_hooks(
    names: dict[tuple[str, int | None], str], read: Record, record: Record
) -> tuple[ObserveExpert, ObserveExpert]:
    def reads(parameter: str, expert: int, inputs: Tensor, tokens: Tensor) -> None:
        read(names[parameter, expert], inputs, tokens)

    def records(parameter: str, expert: int, output: Tensor, tokens: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: record(names[parameter, expert], gradient, tokens))

    return reads, records
