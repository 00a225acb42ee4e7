"""L2 probe: the weights of a linear classifier that reads a concept from all neurons at once."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from semprune.attribution.held_out.observations import Observations
from semprune.attribution.held_out.probing import probe_weights

NEEDS = "documents"


def rank(observations: Observations) -> Float[Tensor, "neurons concepts"]:
    """Weights of a logistic regression with an L2 penalty, on standardised activations of a sample."""

    def classifier(linear_model: Any) -> Any:
        # C = 0.01: scikit-learn's 1 separates any sample that has fewer observations than neurons
        return linear_model.LogisticRegression(C=0.01, class_weight="balanced", max_iter=200)

    return probe_weights(observations, classifier)
