"""Negative control (equations.md S5): a model of the same shape with random weights, which has learnt nothing."""

from __future__ import annotations

import copy

import pandas as pd
import torch

from semprune.attribution.fit.closed_form import Batches, decoder_precision, fit_closed_form
from semprune.attribution.fit.fitted import fitted_association
from semprune.attribution.fit.learner import Labeller, LearnerShape
from semprune.backbones import Backbone, describe


def random_weights(lm: Backbone, seed: int = 0) -> Backbone:
    """The same architecture and tokenizer with freshly drawn weights; torch's random state is left as it was.

    Args:
        lm: The backbone to copy the shape of.
        seed: Of the weights.

    Returns:
        A backbone with its own fingerprint, so that its association cannot be taken for the real one's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = type(lm.model)(copy.deepcopy(lm.model.config))
    return describe(model.to(device=lm.device, dtype=lm.dtype), lm.tokenizer, f"{lm.name}-random-{seed}")


def random_weight_control(
    lm: Backbone,
    labeller: Labeller,
    shape: LearnerShape,
    fit: Batches,
    held_out: Batches,
    *,
    q: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Fit the trained model and one of random weights alike, and compare what is found.

    Neurons of a random model do answer to words: every word has its own embedding. What training adds is therefore
    the difference between the two rows, never the first row alone.

    Returns:
        Rows ``trained`` and ``random``: ``discoveries`` (gated neuron × concept pairs), ``share`` of all pairs, mean
        held-out ``average_precision`` of the token-level concepts.
    """
    rows = []
    for name, model in (("trained", lm), ("random", random_weights(lm, seed))):
        learner = fit_closed_form(model, labeller, shape, fit)
        gate = fitted_association(learner, model.fingerprint, {}, q).gate
        precision = decoder_precision(model, learner, labeller, held_out).nanmean()
        counts = {"discoveries": int(gate.sum()), "share": float(gate.float().mean())}
        rows.append({"weights": name, **counts, "average_precision": float(precision)})
    return pd.DataFrame(rows)
