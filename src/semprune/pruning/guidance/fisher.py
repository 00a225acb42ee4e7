"""How much what is to be kept hangs on each token, at each matrix: one forward and backward of the dense model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.blocks.calls import replaced_forward
from semprune.backbones.blocks.experts import routed_forward
from semprune.backbones.readout import read_out
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
    """

    tokens: Mapping[str, Float[Tensor, "rows tokens"]]
    outputs: Mapping[str, Float[Tensor, " out"]] = field(default_factory=dict)


class WeighedText(NamedTuple):
    """The text of what is to be kept, and how much hangs on its tokens and on outputs."""

    text: ProtectedText
    fisher: Fisher


Record = Callable[[str, Float[Tensor, "places out"], Tensor | None], None]
"""Takes a matrix, the gradient at its output, and which tokens these are (None for all, in order)."""


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
    rows, longest = text.tokens.input_ids.shape
    device = next(model.parameters()).device
    names = [linear.name for linear in linears]
    found = dict(zip(names, torch.zeros(len(names), rows, longest, device=device), strict=True))
    outputs = {linear.name: torch.zeros(linear.weight.shape[0], device=device) for linear in linears}
    shared, first = distributed and several_ranks(), 0
    for number, batch in enumerate(text.batches):
        count, length = batch.input_ids.shape
        if not shared or number % torch.distributed.get_world_size() == rank():
            own = {name: found[name][first : first + count, :length] for name in names}
            _fill(own, outputs, model, linears, batch)
        first += count
    if shared:
        for weights in (*found.values(), *outputs.values()):  # each row is one rank's: the others add zeros
            sum_over_ranks(weights)
    return finished(found, outputs, text)


def finished(
    found: Mapping[str, Float[Tensor, "rows tokens"]], outputs: Mapping[str, Float[Tensor, " out"]], text: ProtectedText
) -> Fisher:
    """Return weights as statistics read them: those of tokens scaled, or what a control has instead.

    Raises:
        NonFiniteError: A weight is NaN or infinite; names the matrix.
    """
    own = {name: scaled(name, weights) for name, weights in found.items()}
    return Fisher(controlled(own, text.mask, text.weights), controlled_outputs(outputs, text.weights))


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
    own: dict[str, Tensor],
    outputs: dict[str, Tensor],
    model: nn.Module,
    linears: Sequence[PrunableLinear],
    batch: ScoredBatch,
) -> None:
    """Write the weights of one batch."""
    device = next(model.parameters()).device
    ids, mask = batch.input_ids.to(device), batch.attention_mask.to(device)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        weighing(linears, own, outputs, mask) as seen,
        _graph_from(model) as begun,
    ):
        forward = partial(model, input_ids=ids, attention_mask=mask, use_cache=False)
        score = batch.score(read_out(model, lambda: forward().logits, batch.places).logits)
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
    linears: Sequence[PrunableLinear],
    own: Mapping[str, Float[Tensor, "rows tokens"]],
    outputs: Mapping[str, Float[Tensor, " out"]],
    mask: Int[Tensor, "rows tokens"] | None,
) -> Iterator[set[str]]:
    """Write the weights of one batch while its gradients flow back; each gradient is let go then.

    Args:
        linears: The matrices that take part.
        own: Where each one's weights of tokens go.
        outputs: What its weights of outputs are added to.
        mask: 1 for tokens, 0 for padding; None where nothing is padded.

    Yields:
        The names of the matrices that a gradient has reached so far.
    """
    seen: set[str] = set()

    def record(name: str, gradient: Tensor, tokens: Tensor | None) -> None:
        seen.add(name)
        squares = gradient.float().square().flatten(0, -2)  # [places, out]
        if mask is not None:
            real = mask.flatten() if tokens is None else mask.flatten()[tokens]
            squares = squares * real[:, None]
        outputs[name].add_(squares.sum(0))
        flat = squares.mean(-1)
        if tokens is not None:
            flat = flat.new_zeros(own[name].numel()).index_copy_(0, tokens, flat)
        own[name].copy_(flat.view(own[name].shape))

    with ExitStack() as stack:
        for linear in linears:
            if linear.matrix.expert is None:
                stack.callback(linear.module.register_forward_hook(_hook(linear.name, record)).remove)
        for experts in dict.fromkeys(each.module for each in linears if each.matrix.expert is not None):
            names = {
                (each.matrix.parameter, each.matrix.expert): each.name for each in linears if each.module is experts
            }
            forward = routed_forward(experts, _unseen, observe_output=_routed_hook(names, record))
            stack.enter_context(replaced_forward(experts, forward))
        yield seen


def _hook(name: str, record: Record) -> Callable[[nn.Module, Any, Tensor], None]:
    def hook(_module: nn.Module, _args: Any, output: Tensor) -> None:
        output.register_hook(lambda gradient: record(name, gradient, None))

    return hook


def _routed_hook(
    names: dict[tuple[str, int | None], str], record: Record
) -> Callable[[str, int, Tensor, Tensor], None]:
    def hook(parameter: str, expert: int, output: Tensor, tokens: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: record(names[parameter, expert], gradient, tokens))

    return hook


def _unseen(*_: Any) -> None:
    """Inputs are not looked at."""
