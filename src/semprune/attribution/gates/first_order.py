"""First order over collateral (equations.md S9): a ranking of one backward pass, and where gates start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.gates.gating import gated
from semprune.attribution.gates.task import GateTask
from semprune.backbones import Backbone
from semprune.data.batches.sampling import within_budget
from semprune.errors import NonFiniteError
from semprune.io.distributed import rank, sum_over_ranks, world_size
from semprune.types import NeuronSite


@dataclass(frozen=True)
class FirstOrder:
    """What taking each neuron away costs a task, to first order.

    Attributes:
        effect: `a`, the mean over units, fp32.
        error: Its standard error.
    """

    effect: Float[Tensor, " neurons"]
    error: Float[Tensor, " neurons"]

    def lower(self, errors: float) -> Float[Tensor, " neurons"]:
        """What the effect is surely above: itself, less some standard errors."""
        return self.effect - errors * self.error


def first_order_over_collateral(
    effect: Float[Tensor, " neurons"], fisher: Float[Tensor, " neurons"]
) -> Float[Tensor, " neurons"]:
    r"""What taking a neuron away costs the task, per unit of what it costs all else; 0 where it helps the task.

    .. math:: \frac{a_j^+}{\sqrt{F_j} + \mathrm{median}\,\sqrt F}

    The median keeps neurons that nothing hangs on from being divided by next to nothing.

    Source: equations.md S9 (ours).

    Args:
        effect: `a`, of :func:`first_order_effect`.
        fisher: `F`, of :func:`semprune.attribution.gates.collateral.dense_texts`.

    Example:
        >>> first_order_over_collateral(torch.tensor([4.0, 4.0, -4.0]), torch.tensor([1.0, 9.0, 1.0])).tolist()
        [2.0, 1.0, 0.0]
    """
    return start_scores(effect, fisher).clamp(min=0)


def start_scores(lower: Float[Tensor, " neurons"], fisher: Float[Tensor, " neurons"]) -> Float[Tensor, " neurons"]:
    r"""The same of effects that are sure; of all other neurons, the less the surer they are of no use and the dearer.

    .. math:: \frac{b_j}{m}\,\Big(1 + \frac{\sqrt{F_j}}{m}\Big)^{-\operatorname{sign} b_j}, \qquad
              m = \mathrm{median}\,\sqrt F

    Where few effects are sure, the rest of the gates are neurons that hardly do anything at all. Where more than half
    of all neurons have no information, m is the mean.

    Source: equations.md S9 (ours).

    Args:
        lower: `b`, of :meth:`FirstOrder.lower`.
        fisher: `F`.

    Example:
        >>> start_scores(torch.tensor([4.0, 4.0, -4.0, -4.0]), torch.tensor([1.0, 9.0, 1.0, 9.0])).tolist()
        [2.0, 1.0, -8.0, -16.0]
    """
    root = fisher.sqrt()
    floor = next(each for each in (root.median(), root.mean(), root.new_ones(())) if each > 0)  # of many idle neurons
    weight = root + floor
    return torch.where(lower > 0, lower / weight, lower / floor * (weight / floor))


def first_order_effect(
    lm: Backbone,
    sites: Sequence[NeuronSite],
    task: GateTask,
    units: Sequence[int],
    mean: Float[Tensor, " neurons"],
    token_budget: int = 4096,
) -> FirstOrder:
    r"""Attribution patching of a task, of a class the order of its log-odds; one forward and one backward of its units.

    .. math:: a_j = \mathrm{E}_i\, y_i \frac{\partial s_i}{\partial m_j}
                  = \mathrm{E}_i\, y_i \sum_t \frac{\partial s_i}{\partial h_{itj}} (h_{itj} - \mu_j)

    with labels `y` of mean 0 and variance 1 within their wording, so that a label's bias has no share in it. Every unit
    has gates of its own, so that it is known how much units differ. The ranks of a process group share them.

    Source: equations.md S9; attribution patching, Nanda (2023).

    Args:
        lm: The dense backbone.
        sites: Whose neurons.
        task: What the neurons may do.
        units: Of the task; of a class every wording among them needs items of the class and others.
        mean: What closed gates hold neurons at.
        token_budget: Padded tokens of a forward.

    Raises:
        UnknownToTheModelError: The dense model does not have the concept.
        NonFiniteError: The model gives NaN or infinite log-odds.
    """
    weights = task.weights(units)
    moments = torch.zeros(2, len(mean), dtype=torch.float64, device=lm.device)
    parts = torch.zeros(len(units), task.columns, dtype=torch.float64, device=lm.device)
    rows, lengths = task.sizes(units)
    for places in within_budget(rows, lengths, token_budget)(0)[rank() :: world_size()]:
        open_gates = torch.zeros(len(places), len(mean), device=lm.device, requires_grad=True)
        owner = torch.arange(len(places)).repeat_interleave(torch.tensor([rows[place] for place in places]))
        with gated(lm, sites, open_gates, mean, owner.to(lm.device)):
            found = task.read(lm, [units[place] for place in places])
            (gradient,) = torch.autograd.grad((found * weights[places].to(found)).sum(), open_gates)
        parts[places] = found.detach().to(parts)
        each = -gradient.double()  # of m = 1 − g
        moments += torch.stack([each.sum(0), each.square().sum(0)])
    sum_over_ranks(moments, parts)
    if not (parts.isfinite().all() and moments.isfinite().all()):
        raise NonFiniteError(f"the log-probabilities of '{task.concept}'")
    task.require_known(parts, units)
    effect, square = moments.cpu() / len(units)
    variance = (square - effect.square()).clamp(min=0) / max(len(units) - 1, 1)
    return FirstOrder(effect.float(), variance.sqrt().float())
