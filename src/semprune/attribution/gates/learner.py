"""Gates while they are learned: one step at a time, the same on any number of processes, and gone on with exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semprune.attribution.gates.collateral import DenseTexts, dense_logits, divergence, rows_at_once, window_logits
from semprune.attribution.gates.exact_k import exact_k
from semprune.attribution.gates.gating import gated
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.task import Draw, GateTask
from semprune.backbones import Backbone
from semprune.data.batches.sampling import within_budget
from semprune.errors import CorruptArtefactError, NonFiniteError
from semprune.io.distributed import gather_rows, rank, sum_over_ranks, world_size
from semprune.types import NeuronSite

TINY = 1e-20
"""Adam's ε: gradients of a saturated sigmoid are far below its default, which would freeze the gates that are sure."""
RECENT = 4
"""Steps before the present one whose items tell how much of a task is left (ours)."""


class GateLearner:
    r"""Learns which ``k`` neurons to hold so that a task is lost and all else is not.

    .. math:: \min_\theta\ R_c(g_c)\quad\text{s.t.}\quad C(g_c) \le \varepsilon,\ \sum_j g_{jc} = k

    for every concept c at once. The price λ of collateral follows the constraint, `λ ← max(0, λ + η (C − ε)/ε)`. The
    backbone is frozen: gradients flow through it to the gates alone. Draws hang on seed and step only.

    Source: equations.md S8.

    Attributes:
        theta: Gate scores, fp32, of each concept; larger is more of a carrier.
        price: λ of each concept.
        steps_done: Steps so far.
    """

    def __init__(
        self,
        lm: Backbone,
        sites: tuple[NeuronSite, ...],
        tasks: Mapping[str, GateTask],
        texts: DenseTexts,
        mean: Float[Tensor, " neurons"],
        start: Float[Tensor, "concepts neurons"],
        k: int,
        settings: GateSettings,
    ) -> None:
        """Begin at ``start``.

        Args:
            lm: The frozen backbone.
            sites: Whose neurons, in the order of the columns.
            tasks: What each concept's gates are to take away.
            texts: What they must leave alone.
            mean: What closed gates hold neurons at.
            start: First scores.
            k: Gates that close, of each concept.
            settings: How.
        """
        self.lm, self.sites, self.tasks, self.texts = lm, sites, dict(tasks), texts
        self.mean, self.k, self.settings = mean, k, settings
        self.theta = nn.Parameter(start.float().to(lm.device))
        self.price = torch.full((len(self.tasks),), settings.penalty, dtype=torch.float64)
        self.steps_done = 0
        self._recent: list[list[Draw]] = [[] for _ in self.tasks]
        self._adam = torch.optim.Adam([self.theta], lr=settings.learning_rate, eps=TINY)

    def step(self) -> dict[str, float]:
        """Learn from one draw of items and windows.

        Returns:
            Of each concept, before the step: ``task``, what is left of it; ``collateral`` in nats; ``price``.

        Raises:
            NonFiniteError: The model gives NaN or infinite log-odds under the gates.
        """
        gates = exact_k(self.theta, self.k)
        leaf = gates.detach().requires_grad_()
        leaf.grad = torch.zeros_like(leaf)
        left = torch.stack([self._task(concept, leaf) for concept in range(len(self.tasks))])
        collateral = self._collateral(leaf)
        sum_over_ranks(leaf.grad, collateral)
        if not (leaf.grad.isfinite().all() and left.isfinite().all() and collateral.isfinite().all()):
            raise NonFiniteError("the objective of causal gates")
        self._adam.zero_grad()
        gates.backward(leaf.grad)
        self._adam.param_groups[0]["lr"] = self.settings.learning_rate * self._remaining()
        self._adam.step()
        found = {
            f"{name}/{concept}": float(values[place])
            for name, values in (("task", left), ("collateral", collateral), ("price", self.price))
            for place, concept in enumerate(self.tasks)
        }
        excess = (collateral - self.settings.budget) / self.settings.budget
        self.price = (self.price + self.settings.dual_rate * excess.cpu()).clamp(min=0)
        self.steps_done += 1
        return found

    def _remaining(self) -> float:
        """Share of the steps that are to come, this one included: what rates fall by, so that the order settles."""
        return max(1 - self.steps_done / self.settings.steps, 0.0)

    def _task(self, concept: int, leaf: Tensor) -> Tensor:
        """Go backward from what is left of a concept's task in recent items, by this step's; its value over all ranks.

        The last steps' items, as they were read, tell how much is left and how far log-odds spread; the gradient is
        that of this step's items, times what their share is smaller by. Of items beyond the token budget the largest
        batch keeps its activations and the others are read twice, so that only a budget's activations are in memory.
        """
        task, settings, step = list(self.tasks.values())[concept], self.settings, self.steps_done
        drawn = task.draw(step, settings.items, [settings.seed, step, concept])
        shares = [drawn[place :: world_size()] for place in range(world_size())]
        own, everyone = shares[rank()], tuple(unit for share in shares for unit in share)
        batches = largest_last(*task.sizes(own), settings.token_budget)
        units = [[own[place] for place in places] for places in batches]
        wide = torch.float64 if self.lm.dtype == torch.float64 else torch.float32
        parts = torch.zeros(len(own), task.columns, dtype=wide, device=leaf.device)
        for places, again in zip(batches[:-1], units[:-1], strict=True):
            parts[places] = self._read(concept, leaf.detach(), again)
        read_twice = parts.requires_grad_()
        if batches:  # none where a rank has no share of a small draw
            parts = parts.index_copy(
                0, torch.tensor(batches[-1], device=leaf.device), self._read(concept, leaf, units[-1])
            )
        everyones, first = gather_rows(parts.detach()), sum(map(len, shares[: rank()]))
        drawn_parts = torch.cat([everyones[:first], parts, everyones[first + len(own) :]])
        draws = [*self._recent[concept], Draw(everyone, drawn_parts)]
        left = task.left(draws)
        if left.requires_grad:
            (left * sum(len(draw.units) for draw in draws) / len(everyone)).backward()
            for places, again in zip(batches[:-1], units[:-1], strict=True):  # now that each unit's weight is known
                assert read_twice.grad is not None
                (self._read(concept, leaf, again) * read_twice.grad[places]).sum().backward()
        self._recent[concept] = [*draws[:-1], Draw(everyone, drawn_parts.detach())][-RECENT:]
        return left.detach().double()

    def _read(self, concept: int, leaf: Tensor, units: Sequence[int]) -> Tensor:
        """What the model says of some units under a concept's gates."""
        task = list(self.tasks.values())[concept]
        owner = torch.full((sum(task.sizes(units)[0]),), concept, device=leaf.device)
        with gated(self.lm, self.sites, leaf, self.mean, owner):
            return task.read(self.lm, units).to(leaf.device)

    def _collateral(self, leaf: Tensor) -> Float[Tensor, " concepts"]:
        """Go backward from the priced divergence of this step's windows; this rank's part of each concept's mean."""
        drawn = self.texts.draw(self.settings.windows, [self.settings.seed, self.steps_done])
        found = torch.zeros(len(self.tasks), dtype=torch.float64, device=leaf.device)
        for text, windows in enumerate(self.texts.texts):
            chosen = [window for of, window in drawn if of == text]
            jobs = [(concept, window) for window in chosen for concept in range(len(self.tasks))]
            rows = rows_at_once(self.lm, windows.shape[1], windows.shape[1] - 1, self.settings.token_budget)
            mine = jobs[rank() :: world_size()]
            weight = 1 / len(chosen) / len(self.texts.texts)
            for begin in range(0, len(mine), rows):
                owner, window = (torch.tensor(each) for each in zip(*mine[begin : begin + rows], strict=True))
                dense = dense_logits(self.lm, self.texts.states[text][window])
                owner = owner.to(leaf.device)
                with gated(self.lm, self.sites, leaf, self.mean, owner):
                    logits = window_logits(self.lm, windows[window])
                    each = weight * divergence(dense, logits).view(len(window), -1).mean(1)
                    (each @ self.price.to(each)[owner]).backward()
                found.index_add_(0, owner, each.detach().double())
        return found

    def state(self) -> dict[str, Any]:
        """Everything that a later :meth:`load` goes on from, as tensors and plain values."""
        return {
            "concepts": list(self.tasks),
            "theta": self.theta.detach().cpu().clone(),
            "price": self.price.clone(),
            "steps_done": self.steps_done,
            "recent": [[(list(draw.units), draw.parts.cpu()) for draw in draws] for draws in self._recent],
            "adam": self._adam.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken.

        Raises:
            CorruptArtefactError: It is of other concepts or neurons.
        """
        if list(state["concepts"]) != list(self.tasks) or state["theta"].shape != self.theta.shape:
            detail = f"its gates are of {', '.join(state['concepts'])} and {state['theta'].shape[1]} neurons"
            remedy = "Resume with the configuration of the first run."
            raise CorruptArtefactError("the checkpoint", detail, remedy)
        with torch.no_grad():
            self.theta.copy_(state["theta"])
        self.price, self.steps_done = state["price"].clone(), int(state["steps_done"])
        device = self.theta.device
        self._recent = [[Draw(tuple(u), parts.to(device)) for u, parts in draws] for draws in state["recent"]]
        self._adam.load_state_dict(state["adam"])


def largest_last(rows: Sequence[int], lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Batches of units within a budget of padded tokens, that of the most tokens last.

    Example:
        >>> largest_last([2, 2, 2], [10, 9, 3], 40)
        [[2], [0, 1]]
    """
    batches = within_budget(rows, lengths, token_budget)(0)
    return sorted(batches, key=lambda own: sum(rows[each] for each in own) * max(lengths[each] for each in own))
