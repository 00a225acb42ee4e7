"""Linear probes over all neurons, fitted by scikit-learn on a bounded sample of observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.held_out.observations import Observations, Take

SAMPLE = 4096
"""Observations that a probe is fitted on: as many as the standardisation's sample, × neurons in fp32."""


def probe_weights(
    observations: Observations, classifier: Callable[[Any], Any], sample: int = SAMPLE
) -> Float[Tensor, "neurons concepts"]:
    """Weights of one classifier per concept.

    Probes need all neurons of an observation at once, so they are not streamed: a sample of ``sample`` observations is
    kept. It holds every n-th batch, so the same documents on each call.

    Args:
        observations: The documents.
        classifier: Makes an unfitted classifier from the module ``sklearn.linear_model``.
        sample: Most observations to keep.

    Returns:
        The coefficients; 0 for a concept that the sample does not show both with and without.
    """
    from sklearn import linear_model  # takes a second to import, and few ask for probes

    out = torch.zeros(observations.learner.neurons, observations.concepts)
    for level in observations.used_levels():
        values, targets = _sampled(observations, level, sample)
        for column in range(targets.shape[1]):
            known = targets[:, column] >= 0
            if len(np.unique(targets[known, column])) == 2:
                fitted = classifier(linear_model).fit(values[known], targets[known, column])
                out[:, observations.columns(level).start + column] = torch.from_numpy(fitted.coef_[0]).float()
    return out


def _sampled(observations: Observations, level: str, sample: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised activations `[n, neurons]` and labels of every n-th observation."""
    learner = observations.learner
    total = int((learner.token_design if level == "token" else learner.sequence_design).by_dataset.sum())
    every = max(1, -(-total // sample))
    values: dict[int, list[Tensor]] = {}
    targets: list[Tensor] = []

    def take(where: slice, rows: Tensor, labels: Tensor) -> None:
        # places that do not count are all -1; a class that is unknown is -1 too, and of no use to the probe
        kept = (labels >= 0).any(1).nonzero()[:, 0][::every]
        values.setdefault(where.start, []).append(rows[kept].cpu())
        if where.start == 0:
            targets.append(labels[kept].cpu())

    taking: dict[str, Take] = {level: take}
    observations.stream(taking, standardised=True)
    whole = torch.cat([torch.cat(values[start]) for start in sorted(values)], dim=1)
    return whole.numpy(), torch.cat(targets).numpy()
