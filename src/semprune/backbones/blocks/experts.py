"""Runs a mixture of experts one expert at a time, so that each expert's inputs can be seen.

Transformers stacks the experts' weights and multiplies them by whichever of several implementations suits the machine;
none shows what a single expert reads. The loop here is the plain definition of them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.errors import CaptureError

ObserveExpert = Callable[[str, int, Float[Tensor, "routed features"], Int[Tensor, " routed"]], None]
"""Takes a parameter's name, an expert, what that matrix reads (or gives), and which tokens these are, ascending."""

DECLARED = ("num_experts", "has_gate", "has_bias", "is_transposed", "has_post_expert_norm")
"""What transformers' ``use_experts_implementation`` says about an experts module."""


def routed_forward(
    experts: nn.Module, observe: ObserveExpert, *, outputs: bool = True, observe_output: ObserveExpert | None = None
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    r"""Return a forward for an experts module that shows what each expert's matrices read.

    .. math:: y_t = \sum_{e \in \mathrm{top}(t)} w_{te} \, D_e \, \phi(U_e x_t)

    Every expert is shown, also one that no token is routed to, with an empty input.

    Source: the experts interface of transformers 5.

    Args:
        experts: A module whose class transformers decorates with ``use_experts_implementation``.
        observe: Called before each product.
        outputs: False leaves the down-projections out and gives zeros.
        observe_output: Called after each product with what it gave.

    Returns:
        A function of hidden states ``[tokens, width]``, chosen experts ``[tokens, chosen]`` and routing weights
        ``[tokens, chosen]`` that gives ``[tokens, width]``, equal to the module's own up to rounding.

    Raises:
        CaptureError: The module does not declare how its weights are stored.
    """
    missing = [name for name in DECLARED if not hasattr(experts, name)]
    if missing:
        raise CaptureError(f"{type(experts).__name__} does not say how its experts are stored ({', '.join(missing)})")
    module: Any = experts
    shown = observe_output or (lambda *_: None)
    up, activate = ("gate_up_proj", module._apply_gate) if module.has_gate else ("up_proj", module.act_fn)

    def forward(hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        result = hidden_states.new_zeros(hidden_states.shape)
        for expert in range(module.num_experts):
            tokens, place = (top_k_index == expert).nonzero(as_tuple=True)
            inputs = hidden_states[tokens]
            observe(up, expert, inputs, tokens)
            wide = _multiply(module, up, expert, inputs)
            shown(up, expert, wide, tokens)
            inner = activate(wide)
            observe("down_proj", expert, inner, tokens)
            if outputs:
                output = _multiply(module, "down_proj", expert, inner)
                shown("down_proj", expert, output, tokens)
                output = module.post_expert_norm(output) if module.has_post_expert_norm else output
                weighted = output * top_k_weights[tokens, place, None]
                result.index_add_(0, tokens, weighted.to(result.dtype))
        return result

    return forward


def _multiply(experts: Any, name: str, expert: int, inputs: Tensor) -> Tensor:
    weight = getattr(experts, name)[expert]
    bias = getattr(experts, f"{name}_bias")[expert] if experts.has_bias else None
    return nn.functional.linear(inputs, weight.t() if experts.is_transposed else weight, bias)
