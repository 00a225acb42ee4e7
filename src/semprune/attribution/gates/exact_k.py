"""Exactly k gates out of all, with a gradient for every one of them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

TEMPERATURE = 1.0
"""Width of the sigmoid whose slope passes the gradient. Adam divides each gate's gradients by their own size, so that
little hangs on it (ours)."""


def exact_k(theta: Float[Tensor, "concepts neurons"], k: int) -> Float[Tensor, "concepts neurons"]:
    r"""1 at the ``k`` largest of each row, 0 elsewhere; backward as if it were a sigmoid around the k-th.

    .. math:: g = \mathbb{1}[\theta \ge \theta_{(k)}], \qquad
              \frac{\partial g}{\partial \theta} := \sigma'\!\big((\theta - \theta_{(k)}) / T\big) / T

    Source: straight-through estimator, Bengio et al. (arXiv 1308.3432).

    Example:
        >>> theta = torch.tensor([[0.0, 2.0, 1.0]], requires_grad=True)
        >>> gates = exact_k(theta, 2)
        >>> gates.tolist()
        [[0.0, 1.0, 1.0]]
        >>> torch.autograd.grad(gates.sum(), theta)[0].double().round(decimals=4).tolist()
        [[0.1966, 0.1966, 0.25]]
    """
    best = theta.detach().topk(k, dim=1)
    hard = torch.zeros_like(theta).scatter_(1, best.indices, 1.0)
    soft = torch.sigmoid((theta - best.values[:, -1:]) / TEMPERATURE)
    return hard + (soft - soft.detach())
