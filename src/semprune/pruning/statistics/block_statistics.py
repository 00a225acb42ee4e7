"""Gathers the input statistics of one block's matrices by hooks, while the block runs.

The matrices of an expert have statistics of the tokens that were routed to it, each token counting alike whatever its
routing weight, as where the experts are linears of their own and the published code hooks them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.blocks.calls import replaced_forward
from semprune.backbones.blocks.experts import ObserveExpert, routed_forward
from semprune.errors import CaptureError, NonFiniteError, UnroutedExpertError
from semprune.io.distributed import gather_rows
from semprune.pruning.calibration import TokenWeights
from semprune.pruning.statistics.squares import Accumulator
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import LayerStats


def routed_sequences(
    inputs: Float[Tensor, "routed in"],
    tokens: Int[Tensor, " routed"],
    shape: tuple[int, int],
    tau: Float[Tensor, "batch tokens"] | None = None,
) -> Iterator[tuple[Float[Tensor, "1 routed in"], Float[Tensor, "1 routed"] | None]]:
    """Yield what an expert reads of each sequence, and the weights of these tokens, for an accumulator.

    A sequence that sends it nothing is yielded empty: it was seen, too.

    Args:
        inputs: What the expert reads.
        tokens: Which tokens these are, ascending, counted over the batch's sequences one after the other.
        shape: Sequences and tokens per sequence of the batch.
        tau: Weight of each token of the batch, 0 for padding; None for 1 everywhere.

    Example:
        >>> import torch
        >>> inputs, tokens = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0, 1, 5])
        >>> [part.flatten().tolist() for part, _ in routed_sequences(inputs, tokens, (3, 2))]
        [[1.0, 2.0], [], [3.0]]
    """
    batch, length = shape
    counts = (tokens // length).bincount(minlength=batch).tolist()
    parts = inputs.split(counts)
    weights = [None] * batch if tau is None else [part[None] for part in tau.reshape(-1)[tokens].split(counts)]
    for part, weight in zip(parts, weights, strict=True):
        yield part[None], weight


class BlockStatistics:
    """Input statistics of the matrices of one block.

    Matrices that read the same tensor share one accumulator, unless each has token weights of its own.

    Args:
        linears: The block's linears, in the order of the computation.
        accumulator: Makes an empty accumulator for a number of input features, on a device.
    """

    def __init__(
        self, linears: Sequence[PrunableLinear], accumulator: Callable[[int, torch.device], Accumulator]
    ) -> None:
        """Nothing is gathered until a forward runs inside :meth:`gathering`."""
        self._linears = {linear.name: linear for linear in linears}
        self._accumulators = {
            linear.name: accumulator(linear.weight.shape[1], linear.weight.device) for linear in linears
        }
        self._source: dict[str, str] = {}  # the matrix in whose accumulator each matrix's input is counted
        self._input: tuple[Tensor, str] | None = None
        self._tau: TokenWeights | None = None
        self._shape = (0, 0)
        self._last = linears[-1].name
        self._over = False  # whether the last matrix of this batch has been reached

    @contextmanager
    def gathering(self, *, outputs_dropped: bool) -> Iterator[Callable[[tuple[int, int], TokenWeights | None], None]]:
        """Attach the hooks; yields what must be called before each forward, with the batch's shape and token weights.

        Args:
            outputs_dropped: The block's outputs are not used. Then the block's last matrix is not multiplied: its
                output reaches no other matrix.
        """
        last = self._linears[self._last]
        with ExitStack() as stack:
            for name, linear in self._linears.items():
                if linear.matrix.expert is None:
                    handle = linear.module.register_forward_pre_hook(self._hook(name), with_kwargs=True)
                    stack.callback(handle.remove)
            for experts in self._experts():
                outputs = not (outputs_dropped and last.module is experts)
                forward = routed_forward(experts, self._routed_hook(experts), outputs=outputs)
                stack.enter_context(replaced_forward(experts, forward))
            if outputs_dropped and last.matrix.expert is None:
                stack.enter_context(replaced_forward(last.module, _zeros(last.weight.shape[0])))

            def begin(shape: tuple[int, int], tau: TokenWeights | None) -> None:
                self._shape, self._tau, self._input, self._over = shape, tau, None, False

            yield begin
        self._input = None

    def additive(self) -> list[Tensor]:
        """Return the tensors that are to be summed over ranks in place: the same list on every rank.

        Matrices that share an accumulator are counted once, also on a rank that saw no sequence: the ranks first tell
        each other who reads whose input.

        Raises:
            CaptureError: Ranks saw matrices read different inputs.
        """
        names = list(self._linears)
        known = [[names.index(self._source[name]) if name in self._source else -1 for name in names]]
        seen = gather_rows(torch.tensor(known, device=self._linears[self._last].weight.device))  # [ranks, matrices]
        found = seen.max(0).values
        if ((seen != found) & (seen != -1)).any():
            raise CaptureError(f"ranks saw matrices share inputs in different ways: {seen.tolist()}")
        self._source = {name: names[index] for name, index in zip(names, found.tolist(), strict=True) if index >= 0}
        sources = sorted(self._sources(), key=names.index)
        return [tensor for source in sources for tensor in self._accumulators[source].additive()]

    def results(self, sequences: int, *, keep_unrouted: bool = False) -> dict[str, LayerStats]:
        """Return the statistics of every matrix, once: what gathered them is let go meanwhile.

        Args:
            sequences: How many sequences each matrix must have seen.
            keep_unrouted: Leave out experts that no token that counts was routed to, instead of refusing them.

        Raises:
            CaptureError: A matrix saw more or fewer.
            NonFiniteError: An input held NaN or infinity at a token that counts.
            UnroutedExpertError: No token that counts was routed to an expert. Nothing then says which of its inputs
                matter, and to prune it by another rule would be another method.
        """
        shared = {source: self._accumulators.pop(source).result() for source in self._sources()}
        found = {name: shared[self._source.get(name, name)] for name in self._linears}
        for name, stats in found.items():
            if stats.sequences != sequences:
                raise CaptureError(f"'{name}' saw {stats.sequences} calibration sequences of {sequences}")
            if not stats.sum_squares.isfinite().all():
                raise NonFiniteError(f"the input of {name}")
        unrouted = [name for name, stats in found.items() if self._is_expert(name) and stats.tokens == 0]
        if unrouted and not keep_unrouted:
            raise UnroutedExpertError(unrouted)
        return {name: stats for name, stats in found.items() if name not in unrouted}

    def _is_expert(self, name: str) -> bool:
        return self._linears[name].matrix.expert is not None

    def _experts(self) -> list[nn.Module]:
        return list(dict.fromkeys(linear.module for name, linear in self._linears.items() if self._is_expert(name)))

    def _sources(self) -> set[str]:
        return {self._source.get(name, name) for name in self._linears}

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            inputs = args[0] if args else next(iter(kwargs.values()))
            own = isinstance(self._tau, Mapping)
            shared = self._input is not None and self._input[0] is inputs and not own
            if not shared:
                self._input = (inputs, name)
                self._accumulators[name].update(self._by_token(name, inputs), self._tau_of(name))
            assert self._input is not None
            source = self._input[1]
            known = self._source.setdefault(name, source)
            if known != source:
                raise CaptureError(f"'{name}' read the input of '{known}' in one batch and of '{source}' in another")
            self._in_order(name)

        return hook

    def _routed_hook(self, experts: nn.Module) -> ObserveExpert:
        names = {
            (linear.matrix.parameter, linear.matrix.expert): name
            for name, linear in self._linears.items()
            if linear.module is experts
        }

        def hook(parameter: str, expert: int, inputs: Tensor, tokens: Tensor) -> None:
            name = names[parameter, expert]
            self._source[name] = name  # no other matrix reads these tokens
            for part, weights in routed_sequences(inputs, tokens, self._shape, self._tau_of(name)):
                self._accumulators[name].update(part, weights)
            self._in_order(name)

        return hook

    def _tau_of(self, name: str) -> Float[Tensor, "batch tokens"] | None:
        return self._tau[name] if isinstance(self._tau, Mapping) else self._tau

    def _in_order(self, name: str) -> None:
        if self._over:
            raise CaptureError(f"'{name}' ran after '{self._last}', which its family names as the block's last")
        self._over = name == self._last

    def _by_token(self, name: str, inputs: Tensor) -> Float[Tensor, "batch tokens in"]:
        if inputs.numel() != self._shape[0] * self._shape[1] * inputs.shape[-1]:
            raise CaptureError(f"'{name}' read {tuple(inputs.shape)} for a batch of {self._shape} tokens")
        return inputs.reshape(*self._shape, inputs.shape[-1])  # some models flatten tokens before a linear


def _zeros(width: int) -> Callable[[Tensor], Tensor]:
    return lambda inputs: inputs.new_zeros(*inputs.shape[:-1], width)  # some blocks add to it in place
