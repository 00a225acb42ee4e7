"""Readout loss (equations.md L2): how much worse a concept is read back after pruning, and whether refitting helps.

Frozen, the dense model's head reads the pruned activations; refitted, a new head is fitted to the pruned model, on the
same neurons. What refitting wins back has moved among these neurons; what it does not win back is gone from them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.held_out.readout import LevelReadout, Readout
from semprune.attribution.held_out.sums import BLOCKS, LEVELS
from semprune.errors import ConfigurationError
from semprune.statistics.average_precision import average_precision
from semprune.statistics.intervals import jackknife_interval

FOLDS = 5
RIDGE = 1e-2  # relative to activations of unit variance: a few positives must not be fitted by 32 weights


def refitted_scores(readout: LevelReadout) -> Float[Tensor, "n concepts"]:
    r"""Scores of heads fitted to the observations themselves, cross-fitted by document.

    Every concept's label is regressed on its own neurons by ridge regression over the documents of the other folds,

    .. math:: w = (\bar Z'\bar Z/n + \lambda I)^{-1} \bar Z'\bar y/n,

    (means removed), which is Fisher's discriminant up to scale: the order of the scores is all that AP looks at.

    Source: ours; closed form instead of SGD, so that the same activations always give the same figure.

    Returns:
        Scores of observations whose label is not known are not meaningful.

    Raises:
        ConfigurationError: There are fewer documents than folds.
    """
    folds = torch.unique(readout.cluster, return_inverse=True)[1] % FOLDS
    if len(readout.cluster) and int(folds.max()) < FOLDS - 1:
        raise ConfigurationError(
            f"refitting a readout needs {FOLDS} held-out documents or more, got {int(folds.max()) + 1}. Raise `limit`."
        )
    scores = torch.zeros(readout.targets.shape, dtype=torch.float64)
    for c in range(scores.shape[1]):  # one concept's activations at a time in float64
        z, targets = readout.values[:, c].double(), readout.targets[:, c]
        held = [folds == fold for fold in range(FOLDS)]
        sums = torch.stack([_sums(z[own & (targets >= 0)], targets[own & (targets >= 0)]) for own in held])
        for fold, own in enumerate(held):
            scores[own, c] = z[own] @ _solve(sums.sum(0) - sums[fold])
    return scores


def _sums(z: Float[Tensor, "n k"], targets: Int[Tensor, " n"]) -> Float[Tensor, "k1 k2"]:
    """`Σ [z, 1]'[z, 1, y]`: all that a regression with an intercept needs, additive over folds."""
    left = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
    return left.T @ torch.cat([left, targets[:, None].double()], dim=1)


def _solve(sums: Float[Tensor, "k1 k2"]) -> Float[Tensor, " k"]:
    count = sums[-1, -2].clamp(min=1)
    mean, prevalence = sums[:-1, -2] / count, sums[-1, -1] / count
    covariance = sums[:-1, :-2] / count - mean[:, None] * mean
    cross = sums[:-1, -1] / count - mean * prevalence
    solved: Tensor = torch.linalg.solve(covariance + RIDGE * torch.eye(len(mean), dtype=torch.float64), cross)
    return solved


def readout_loss(dense: Readout, pruned: Readout) -> pd.DataFrame:
    """Loss of average precision of every concept, with the head frozen and refitted.

    Each loss is against the dense model read in the same way (the learned head; a head refitted by the same rule), so
    that neither a head's better fit nor its smaller sample counts as a loss. Intervals are 95 %, from a delete-a-group
    jackknife over documents; the refitted heads are not fitted anew for it.

    Source: equations.md L2.

    Args:
        dense: What was read from the dense model.
        pruned: The same documents through the pruned model.

    Returns:
        Columns concept, level, ap_dense, ap_pruned, ap_dense_refit, ap_pruned_refit, then loss_frozen, loss_refit and
        moved (= frozen − refit), each with _low and _high, and n_documents. NaN where a concept is not there.

    Raises:
        ConfigurationError: The two passes read different observations, or too few documents.
    """
    tables = [_level_loss(dense, pruned, level) for level in LEVELS if dense.decoder(level).neurons.shape[0]]
    return pd.concat(tables, ignore_index=True)


def _level_loss(dense: Readout, pruned: Readout, level: str) -> pd.DataFrame:
    before, after = dense.level(level), pruned.level(level)
    if not torch.equal(before.targets, after.targets) or not torch.equal(before.cluster, after.cluster):
        raise ConfigurationError("dense and pruned readouts are of different documents: read the same ones with both.")
    shape = dense.learner.shape
    names = shape.concepts if level == "token" else shape.classes
    with torch.no_grad():
        frozen = [dense.decoder(level)(each.values.flatten(1)).double() for each in (before, after)]
    scores = torch.stack([*frozen, *(refitted_scores(each) for each in (before, after))]).numpy()
    blocks = before.cluster.numpy() % BLOCKS
    rows = []
    for c, name in enumerate(names):
        known = before.targets[:, c].numpy() >= 0
        targets, own = before.targets[:, c].numpy()[known], blocks[known]
        held = [block for block in range(BLOCKS) if (own == block).any()]
        weights = np.stack([np.ones(len(own)), *(own != block for block in held)]).astype(np.float64)
        ap = np.stack([_ap(each[known, c], targets, weights) for each in scores])  # [four readings, 1 + blocks]
        documents = len(np.unique(before.cluster.numpy()[known]))
        rows.append({"concept": name, "level": level} | _row(ap) | {"n_documents": documents})
    return pd.DataFrame(rows)


def _ap(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return average_precision(scores, targets, weights) if len(scores) else np.full(len(weights), np.nan)


def _row(ap: Float[np.ndarray, "readings draws"]) -> dict[str, float]:
    names = ("ap_dense", "ap_pruned", "ap_dense_refit", "ap_pruned_refit")
    row = dict(zip(names, ap[:, 0].tolist(), strict=True))
    frozen, refit = ap[0] - ap[1], ap[2] - ap[3]
    for name, values in (("loss_frozen", frozen), ("loss_refit", refit), ("moved", frozen - refit)):
        low, high = jackknife_interval(float(values[0]), values[1:])
        row |= {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
    return row
