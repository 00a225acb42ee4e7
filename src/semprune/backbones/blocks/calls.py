"""Records what each decoder block is called with, by running the model's own forward around its blocks.

Attention masks, positions and rotary embeddings are never rebuilt by hand: they differ between models, between the
blocks of one model and between releases of transformers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.errors import CaptureError


@dataclass(frozen=True, slots=True)
class BlockCall:
    """What one decoder block was called with, apart from the hidden states.

    Attributes:
        args: Positional arguments after the hidden states.
        kwargs: Keyword arguments: attention mask, position embeddings …
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class CallRecorder:
    """Runs a model around its blocks, each of which hands on its input unread.

    Only the first block of the first batch is really run, to see whether blocks return a tensor or a tuple.

    Args:
        model: A Hugging Face causal language model.
        blocks: Its decoder blocks, in order.
    """

    def __init__(self, model: nn.Module, blocks: Sequence[nn.Module]) -> None:
        """Find the body of the model: without the head, whose logits nobody needs."""
        self._body: nn.Module = getattr(model, "base_model", model)
        self._blocks = tuple(blocks)
        self._wrap: Callable[[Tensor], Any] | None = None

    def record(
        self, input_ids: Int[Tensor, "batch tokens"], attention_mask: Int[Tensor, "batch tokens"] | None
    ) -> tuple[Float[Tensor, "batch tokens width"], tuple[BlockCall, ...]]:
        """Return the first block's input and every block's call for one batch.

        Under left padding, positions count from the first token, for models that take positions.

        Raises:
            CaptureError: The forward did not call each block exactly once, in order.
        """
        inputs: list[Tensor] = []
        calls: list[BlockCall] = []
        order: list[int] = []

        def stand_in(index: int, original: Callable[..., Any]) -> Callable[..., Any]:
            def forward(*args: Any, **kwargs: Any) -> Any:
                named = dict(kwargs)
                hidden = args[0] if args else named.pop("hidden_states")
                inputs.append(hidden)
                calls.append(BlockCall(args[1:], named))
                order.append(index)
                if self._wrap is None:
                    self._wrap = _wrapper(original(*args, **kwargs))
                return self._wrap(hidden)

            return forward

        positions = _positions(self._body, attention_mask)
        with ExitStack() as stack:
            for index, block in enumerate(self._blocks):
                stack.enter_context(replaced_forward(block, stand_in(index, block.forward)))
            self._body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **positions)
        if order != list(range(len(self._blocks))):
            raise CaptureError(f"the forward called decoder blocks {order}, not 0 to {len(self._blocks) - 1}")
        return inputs[0], tuple(calls)

    def logits(
        self,
        model: nn.Module,
        states: Float[Tensor, "batch tokens width"],
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Int[Tensor, "batch tokens"] | None,
    ) -> Float[Tensor, "batch tokens vocabulary"]:
        """Return what the model makes of its last block's outputs, after :meth:`record` has seen what blocks return."""
        assert self._wrap is not None
        wrap = self._wrap

        def stand_in(*args: Any, **kwargs: Any) -> Any:
            return wrap(states)

        with ExitStack() as stack:
            for block in self._blocks:
                stack.enter_context(replaced_forward(block, stand_in))
            found: Tensor = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        return found


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Let a module compute something else; its hooks still run, and the old forward comes back on leaving."""
    own = module.__dict__.get("forward")  # another library may have set one on the instance
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def _wrapper(output: Any) -> Callable[[Tensor], Any]:
    """Return what makes hidden states look like a block's output."""
    if isinstance(output, Tensor):
        return lambda hidden: hidden
    rest = (None,) * (len(output) - 1)
    return lambda hidden: (hidden, *rest)


def _positions(body: nn.Module, attention_mask: Tensor | None) -> dict[str, Tensor]:
    """Return positions for a left-padded batch; transformers counts them from the padding."""
    padded_left = attention_mask is not None and bool((attention_mask[:, 0] == 0).any())
    if not padded_left or "position_ids" not in inspect.signature(body.forward).parameters:
        return {}
    assert attention_mask is not None
    return {"position_ids": (attention_mask.cumsum(-1) - 1).clamp(min=0)}
