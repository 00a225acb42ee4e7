"""Gates while they are learned: one step at a time, the same on any number of processes, and gone on with exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semprune.attribution.gates.collateral import DenseTexts, dense_logits, divergence, rows_at_once, window_logits
from semprune.attribution.gates.exact_k import exact_k
from semprune.attribution.gates.gated_units import GatedUnits, Shares
from semprune.attribution.gates.gating import gated
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.task import Draw, GateTask
from semprune.backbones import Backbone
from semprune.errors import CorruptArtefactError, NonFiniteError
from semprune.io.distributed import gather_rows, rank, sum_over_ranks, world_size
from semprune.types import NeuronSite

TINY = 1e-20
"""Adam's ε: gradients of a saturated sigmoid are far below its default, which would freeze the gates that are sure."""
RECENT = 4
"""Steps before the present one whose items tell how much of a task is left (ours)."""


class GateLearner:
    r"""Learns which ``k`` neurons to hold so that a task is lost and all else is not.

    .. math:: \min_\theta\ R_c(g_c) + \alpha D_{c'}(g_c)
        \quad\text{s.t.}\quad C(g_c) \le \varepsilon,\ \sum_j g_{jc} = k

    for every concept c at once; D is how far another one's task moves, the next one's in each step. The price λ of
    collateral follows the constraint, `λ ← max(0, λ + η (C − ε)/ε)`. The backbone is frozen: gradients flow through it
    to the gates alone. Draws hang on seed and step only.

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
        self._units = GatedUnits(lm, sites, mean, settings.token_budget)
        self._tasks = list(self.tasks.values())
        self._others = [
            [place for place, other in enumerate(self._tasks) if settings.apart and other.source != task.source]
            for task in self._tasks
        ]
        self.theta = nn.Parameter(start.float().to(lm.device))
        self.price = torch.full((len(self.tasks),), settings.penalty, dtype=torch.float64)
        self.steps_done = 0
        self._recent: list[list[Draw]] = [[] for _ in self.tasks]
        self._adam = torch.optim.Adam([self.theta], lr=settings.learning_rate, eps=TINY)

    def step(self) -> dict[str, float]:
        """Learn from one draw of items and windows.

        Returns:
            Of each concept, before the step: ``task``, what is left of it; ``others``, how far another concept's task
            has moved, where there is one; ``collateral`` in nats; ``price``.

        Raises:
            NonFiniteError: The model gives NaN or infinite log-odds under the gates.
        """
        gates = exact_k(self.theta, self.k)
        leaf = gates.detach().requires_grad_()
        leaf.grad = torch.zeros_like(leaf)
        left = torch.stack([self._task(concept, leaf) for concept in range(len(self.tasks))])
        moved = [self._moved(concept, leaf) for concept in range(len(self.tasks))]
        collateral = self._collateral(leaf)
        sum_over_ranks(leaf.grad, collateral)
        if not (leaf.grad.isfinite().all() and left.isfinite().all() and collateral.isfinite().all()):
            raise NonFiniteError("the objective of causal gates")
        self._adam.zero_grad()
        gates.backward(leaf.grad)
        self._adam.param_groups[0]["lr"] = self.settings.learning_rate * self._remaining()
        self._adam.step()
        columns = {"task": [*left], "others": moved, "collateral": [*collateral], "price": [*self.price]}
        found = {
            f"{name}/{concept}": float(value)
            for name, values in columns.items()
            for concept, value in zip(self.tasks, values, strict=True)
            if value is not None
        }
        excess = (collateral - self.settings.budget) / self.settings.budget
        self.price = (self.price + self.settings.dual_rate * excess.cpu()).clamp(min=0)
        self.steps_done += 1
        return found

    def _remaining(self) -> float:
        """Share of the steps that are to come, this one included: what rates fall by, so that the order settles."""
        return max(1 - self.steps_done / self.settings.steps, 0.0)

    def own(self, concept: int) -> list[int]:
        """Units of a concept's task that the next step reads."""
        drawing = [self.settings.seed, self.steps_done, concept]
        return self._tasks[concept].draw(self.steps_done, self.settings.items, drawing)

    def other(self, concept: int) -> tuple[GateTask, list[int]] | None:
        """The task that a concept's gates are to leave alone in the next step, and its units; None where none is.

        Half as many items tell it: each is held against what the dense model says of it.
        """
        step, others = self.steps_done, self._others[concept]
        if not others:
            return None
        place = others[step % len(others)]
        drawing = [self.settings.seed, step, concept, place]
        return self._tasks[place], self._tasks[place].draw(step, max(self.settings.items // 2, 2), drawing)

    def _task(self, concept: int, leaf: Tensor) -> Tensor:
        """Go backward from what is left of a concept's task in recent items, by this step's; its value over all ranks.

        The last steps' items, as they were read, tell how much is left and how far log-odds spread; the gradient is
        that of this step's items, times what their share is smaller by.
        """
        task, recent, drawn = self._tasks[concept], self._recent[concept], Shares.of(self.own(concept))
        weight = 1 + sum(len(draw.units) for draw in recent) / len(drawn.everyone)
        found, parts = self._units.backward(
            concept, task, drawn, leaf, lambda parts: task.left([*recent, Draw(drawn.everyone, parts)]), weight
        )
        self._recent[concept] = [*recent, Draw(drawn.everyone, parts)][-RECENT:]
        return found

    def _moved(self, concept: int, leaf: Tensor) -> Tensor | None:
        """Go backward from how far another concept's task moves; its value over all ranks."""
        other = self.other(concept)
        if other is None:
            return None
        task, drawn = other[0], Shares.of(other[1])
        dense = gather_rows(self._units.dense(task, drawn.own))
        return self._units.backward(
            concept, task, drawn, leaf, lambda parts: task.moved(drawn.everyone, parts, dense), self.settings.apart
        )[0]

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
            "learned": self._learned(),
            "theta": self.theta.detach().cpu().clone(),
            "price": self.price.clone(),
            "steps_done": self.steps_done,
            "recent": [[(list(draw.units), draw.parts.cpu()) for draw in draws] for draws in self._recent],
            "adam": self._adam.state_dict(),
        }

    def _learned(self) -> dict[str, float]:
        """What steps before and after a stop must have in common: all but how much is in memory at once."""
        return {name: value for name, value in asdict(self.settings).items() if name != "token_budget"} | {"k": self.k}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken.

        Raises:
            CorruptArtefactError: It is of other concepts or neurons, or was learned otherwise.
        """
        remedy = "Resume with the configuration of the first run."
        if list(state["concepts"]) != list(self.tasks) or state["theta"].shape != self.theta.shape:
            detail = f"its gates are of {', '.join(state['concepts'])} and {state['theta'].shape[1]} neurons"
            raise CorruptArtefactError("the checkpoint", detail, remedy)
        before, now = state.get("learned", self._learned()), self._learned()
        if other := [
            f"{name} {before.get(name)} for {value}" for name, value in now.items() if before.get(name) != value
        ]:
            raise CorruptArtefactError("the checkpoint", f"its gates were learned with {', '.join(other)}", remedy)
        with torch.no_grad():
            self.theta.copy_(state["theta"])
        self.price, self.steps_done = state["price"].clone(), int(state["steps_done"])
        device = self.theta.device
        self._recent = [[Draw(tuple(u), parts.to(device)) for u, parts in draws] for draws in state["recent"]]
        self._adam.load_state_dict(state["adam"])
