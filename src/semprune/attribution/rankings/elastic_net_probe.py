"""Elastic-net probe: like the L2 probe, with most weights at exactly 0."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from semprune.attribution.held_out.observations import Observations
from semprune.attribution.held_out.probing import probe_weights

NEEDS = "documents"


def rank(observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Weights of a logistic regression with an elastic-net penalty, on standardised activations of a sample.

    Source: Dalvi et al., What is one grain of sand in the desert? (AAAI 2019).
    """

    def classifier(linear_model: Any) -> Any:
        # truncated gradient steps (Tsuruoka et al. 2009) give exact zeros
        return linear_model.SGDClassifier(
            loss="log_loss", penalty="elasticnet", alpha=1e-3, l1_ratio=0.5, class_weight="balanced", random_state=0
        )

    return probe_weights(observations, classifier)
