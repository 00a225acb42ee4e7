"""Learns the causal half of an association: gate scores of every neuron for every concept (equations.md S8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.gates.collateral import DenseTexts, Texts, alone, dense_texts, dominant
from semprune.attribution.gates.first_order import first_order_effect, start_scores
from semprune.attribution.gates.learner import GateLearner
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.task import GateTask
from semprune.backbones import Backbone
from semprune.errors import SettingError
from semprune.ranges import check_ranges
from semprune.types import NeuronSite

START, LEAD = 0.5, 0.3
"""Standard deviation of the scores at the start, and how far the first of them are above the k-th at most: what some
steps of Adam can make good. First-order effects have a long tail, whose neurons no step would reach (ours)."""
FAR = 100.0
"""How far below 0 a score starts at most: from there no step reaches a gate (ours)."""
DEAR = 0.05
"""Share of the budget that one neuron alone may cost; gates do not start with any that costs more (ours)."""
FIRST = 32
"""First neurons that are closed one by one; the median of what they cost is what rounding makes of any (ours)."""


@dataclass(frozen=True)
class Gates:
    """Which neurons carry which concept, as learned through the model.

    Attributes:
        scores: θ, fp32, 0 for the least neuron of each concept; larger is more of a carrier. The first ``k`` of a
            column are the gates that close; only the order and differences mean anything. NaN where a concept's were
            not learned.
        concepts: Names of the columns.
    """

    scores: Float[Tensor, "neurons concepts"]
    concepts: tuple[str, ...]

    def of(self, concepts: Sequence[str]) -> Gates:
        """The columns of other concepts, NaN where they were not learned."""
        missing = torch.full((len(self.scores),), torch.nan)
        columns = [self.scores[:, self.concepts.index(c)] if c in self.concepts else missing for c in concepts]
        return Gates(torch.stack(columns, 1), tuple(concepts))


def learn_gates(
    lm: Backbone,
    tasks: Mapping[str, GateTask],
    texts: Texts,
    mean: Float[Tensor, " neurons"],
    *,
    k: int,
    settings: GateSettings | None = None,
    sites: tuple[NeuronSite, ...] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Gates:
    """Learn the ``k`` neurons of each concept without which the model no longer does its task, and does all else.

    Source: equations.md S8; the start is S9.

    Args:
        lm: The dense backbone, frozen.
        tasks: What each concept's gates are to take away.
        texts: Windows whose next-token distributions must stay, general ones and some of the tasks' domain.
        mean: Of each neuron, what a closed gate holds it at.
        k: Gates that close, of each concept.
        settings: How; None takes the defaults.
        sites: Whose neurons; None takes the MLPs'.
        progress: Told what was reached after every step.

    Raises:
        SettingError: ``k`` is not between 1 and all neurons but one, or a setting is out of its range.
        UnknownToTheModelError: The dense model does not have the concept of a class.
        NonFiniteError: The model gives NaN or infinite log-odds.
    """
    learner = begin_gates(lm, tasks, texts, mean, k=k, settings=settings or GateSettings(), sites=sites or lm.sites)
    for _ in range(learner.settings.steps):
        found = learner.step()
        progress(f"{learner.steps_done}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    return gates_of(learner)


def begin_gates(
    lm: Backbone,
    tasks: Mapping[str, GateTask],
    texts: Texts,
    mean: Float[Tensor, " neurons"],
    *,
    k: int,
    settings: GateSettings,
    sites: tuple[NeuronSite, ...],
    state: Mapping[str, Any] | None = None,
) -> GateLearner:
    """A learner at its start, or where ``state`` was taken; see :func:`learn_gates`."""
    check_ranges(settings, "gates.")
    if not 1 <= k < len(mean):
        raise SettingError("k", k, f"at least 1 and below the number of neurons, {len(mean)}")
    dense = dense_texts(lm, sites, texts, mean, settings.windows)
    if state is not None:
        learner = GateLearner(lm, sites, tasks, dense, mean, torch.zeros(len(tasks), len(mean)), k, settings)
        learner.load(state)
        return learner
    start = torch.stack([_start(lm, sites, task, dense, mean, k, settings) for task in tasks.values()])
    start = start.minimum(start.topk(k, dim=1).values[:, -1:] + LEAD)
    return GateLearner(lm, sites, tasks, dense, mean, start, k, settings)


def gates_of(learner: GateLearner) -> Gates:
    """What a learner has learned."""
    return Gates(scores_of(learner.theta.detach().cpu()), tuple(learner.tasks))


def scores_of(theta: Float[Tensor, "concepts neurons"]) -> Float[Tensor, "neurons concepts"]:
    """Scores as users see them: 0 for the least neuron of each concept.

    Example:
        >>> scores_of(torch.tensor([[-1.0, 2.0]])).tolist()
        [[0.0], [3.0]]
    """
    return (theta - theta.amin(1, keepdim=True)).T.contiguous()


def _start(
    lm: Backbone,
    sites: tuple[NeuronSite, ...],
    task: GateTask,
    dense: DenseTexts,
    mean: Tensor,
    k: int,
    settings: GateSettings,
) -> Float[Tensor, " neurons"]:
    """First order over collateral where it is sure, without the few neurons that cost much by themselves."""
    units = task.start(settings.start_items, settings.seed)
    found = first_order_effect(lm, sites, task, units, mean, settings.token_budget)
    first = start_scores(found.lower(settings.sure), dense.fisher)
    tried = torch.cat([first.topk(min(FIRST, len(first))).indices, dominant(lm, sites, dense, mean)])
    costs = alone(lm, sites, dense, mean, tried, settings.token_budget)
    rounding = costs[:FIRST].median()  # in bfloat16 closing any one costs .0014 nats
    dear = costs - rounding > DEAR * settings.budget
    first[tried[dear]] = first.min()
    spread = first.clamp(min=0).std()
    if not spread > 0:  # nothing is sure
        spread = first.std().clamp(min=torch.finfo(first.dtype).tiny)
    return (START * first / spread).clamp(min=-FAR)
