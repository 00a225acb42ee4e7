"""How gates are learned."""

from __future__ import annotations

from dataclasses import dataclass

from semprune.types import Count, NonNegative, Positive, Seed, Share


@dataclass(frozen=True)
class GateSettings:
    """How gates are learned. The values are ours, of trials with a model of 135M weights (docs/gates.md).

    Attributes:
        share: Share of all neurons whose gates close, of each concept.
        budget: Most collateral in nats per token, ``KL(dense ‖ gated)`` on the texts; dual ascent keeps it.
        steps: Adam steps.
        items: Items of each step and concept over all wordings, half of them of the class.
        windows: Windows of text of each step, of all texts together.
        start_items: Items of the first order that gates start from, over all wordings.
        sure: Standard errors that a neuron's first order must be above 0 by to start among the gates; the rest are then
            neurons that do little of anything. Of labels that say nothing few are.
        learning_rate: Of Adam's first step; it falls linearly to 0.
        penalty: What a nat of collateral costs at first, in units of the task.
        apart: How much it counts that the tasks of the other concepts stay as they are, half as many items of one of
            them in each step; 0 learns each concept by itself. Classes of one data set need not stay beside each other.
        dual_rate: How fast that price follows a budget that is exceeded or not used up.
        token_budget: Padded tokens of a forward; what is in memory grows with it.
        seed: Of the draws.
    """

    share: Share = 0.01
    budget: Positive = 0.1
    steps: Count = 25
    items: Count = 24
    windows: Count = 8
    start_items: Count = 256
    sure: NonNegative = 2.0
    learning_rate: Positive = 0.1
    penalty: NonNegative = 1.0
    apart: NonNegative = 1.0
    dual_rate: NonNegative = 0.1
    token_budget: Count = 2048
    seed: Seed = 0
