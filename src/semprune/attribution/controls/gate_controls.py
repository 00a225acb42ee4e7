"""Controls of causal gates: what gates take when there is nothing to learn, and whether they are gates of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from semprune.attribution.controls.closed_gates import ClassReader, Reading, mean_activations
from semprune.attribution.controls.control_task import random_weights
from semprune.attribution.controls.gate_items import permuted_items
from semprune.attribution.gates.collateral import Texts
from semprune.attribution.gates.learn import learn_gates
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.task import Parts
from semprune.attribution.gates.tasks import ClassTask
from semprune.backbones import Backbone
from semprune.errors import UnknownToTheModelError
from semprune.types import Item

LEARNED, PERMUTED, WRONG, RANDOM_WEIGHTS, RANDOM = (
    "learned", "permuted_labels", "wrong_concept", "random_weights", "random_neurons",
)  # fmt: skip
"""What the sets of neurons are of."""


class UnaskedTask(ClassTask):
    """A class whose gates are learned even where the model does not know it, as controls must.

    Attributes:
        refused: Whether a fit would have refused to.
    """

    refused = False

    def require_known(self, parts: Parts, units: Sequence[int]) -> None:
        """Remember instead of refusing."""
        try:
            super().require_known(parts, units)
        except UnknownToTheModelError:
            self.refused = True


@dataclass(frozen=True)
class Lesson:
    """What gates are learned from.

    Attributes:
        items: Of the concept, in the wordings that are fitted.
        choice: Which of their choices stands for it.
        wrong: Items of another concept.
        wrong_choice: Its choice.
        texts: What gates must leave alone.
    """

    items: Sequence[Item]
    choice: int
    wrong: Sequence[Item]
    wrong_choice: int
    texts: Texts


@dataclass(frozen=True)
class ControlSet:
    """Neurons that a control names, of one seed, and what it does to the model that they are closed.

    Attributes:
        control: What they are of.
        seed: Of the draws.
        refused: Whether a fit would have refused to learn them.
        rows: The neurons.
        reading: With them held at their means.
    """

    control: str
    seed: int
    refused: bool
    rows: Int[Tensor, " k"]
    reading: Reading


def control_sets(
    lm: Backbone,
    lesson: Lesson,
    reader: ClassReader,
    *,
    k: int,
    seeds: Sequence[int],
    settings: GateSettings,
    progress: Callable[[str], None] = lambda _: None,
) -> list[ControlSet]:
    """Learn gates of the concept and of everything that they are held against, and close each in the trained model.

    Args:
        lm: The dense backbone.
        lesson: What is learned.
        reader: What is read with closed gates.
        k: Gates that close.
        seeds: Of items, windows, permutations and weights; one run each.
        settings: How gates are learned.
        progress: Told what runs.

    Raises:
        TooFewItemsError: There are too few items of a class.
        SettingError: ``k`` or a setting is out of its range.
        NonFiniteError: The model gives NaN or infinite log-odds.
    """
    mean, found = mean_activations(lm, lesson.texts), []
    for seed in seeds:
        own = replace(settings, seed=seed, apart=0)  # a wrong concept must not be kept out of the way of the true one
        tasks = {
            LEARNED: UnaskedTask(lm, LEARNED, lesson.items, lesson.choice),
            PERMUTED: UnaskedTask(lm, PERMUTED, permuted_items(lesson.items, seed), lesson.choice),
            WRONG: UnaskedTask(lm, WRONG, lesson.wrong, lesson.wrong_choice),
        }
        untrained = random_weights(lm, seed)
        others = {RANDOM_WEIGHTS: UnaskedTask(untrained, RANDOM_WEIGHTS, lesson.items, lesson.choice)}
        sets: dict[str, Tensor] = {}
        for model, taught, held in ((lm, tasks, mean), (untrained, others, mean_activations(untrained, lesson.texts))):
            progress(f"seed {seed}: learning {', '.join(taught)}")
            gates = learn_gates(model, taught, lesson.texts, held, k=k, settings=own, progress=progress)
            sets |= dict(zip(gates.concepts, gates.scores.topk(k, 0).indices.T, strict=True))
        sets[RANDOM] = torch.randperm(len(mean), generator=torch.Generator().manual_seed(seed))[:k]
        for name, rows in sets.items():
            progress(f"seed {seed}: closing {name}")
            refused = name in tasks | others and (tasks | others)[name].refused
            found.append(ControlSet(name, seed, refused, rows, reader.closed(mean, rows)))
    return found
