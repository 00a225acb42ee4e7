"""What taking a neuron away costs the task to first order, per unit of what it costs all other text."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.gates.collateral import dense_texts
from semprune.attribution.gates.first_order import first_order_effect, first_order_over_collateral
from semprune.attribution.gates.sources import general_text
from semprune.attribution.gates.tasks import ClassTask
from semprune.attribution.gradients.rankings import LabelledItems
from semprune.errors import ConfigurationError

NEEDS = "items"

WINDOWS, TOKENS = 48, 64  # of general text, where none is given


def rank(items: LabelledItems) -> Float[Tensor, " neurons"]:
    """Equations.md S9 of the order of each class, the classes' added up; of two classes, either is the order of both.

    Raises:
        ConfigurationError: The items have choices of their own, not classes.
        TooFewItemsError: A class has too few items.
        UnknownToTheModelError: The dense model does not have a class.
    """
    lm, association = items.lm, items.association
    association.require(lm.fingerprint)
    choices = {len(item.requests) for item in items.items}
    if len(choices) != 1:
        raise ConfigurationError("first order over collateral needs labelled items, all with the same choices.")
    texts = items.texts or [general_text(lm, WINDOWS, TOKENS)]
    fisher = dense_texts(lm, association.sites, texts, association.mean).fisher
    ranking = torch.zeros_like(fisher)
    for choice in range(*((1, 2) if choices == {2} else (0, choices.pop()))):
        task = ClassTask(lm, f"{items.items[0].dataset}, choice {choice}", items.items, choice)
        every = range(len(task.labels))
        effect = first_order_effect(lm, association.sites, task, every, association.mean).effect
        ranking += first_order_over_collateral(effect, fisher)
    return ranking
