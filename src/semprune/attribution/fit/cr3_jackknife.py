"""Leaving out one document at a time (equations.md S5): variances and degrees of freedom that hold with few documents.

A clustered variance of plain residuals is too small wherever single documents have leverage: each pulls the fit towards
itself. What the coefficients move by when a document is left out is not, and it is exact and streams: with
`G_k = Σ_{t∈k} m m'` the fit without document k is `B − (G − G_k)⁻¹ Σ_{t∈k} m e'`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def cluster_grams(
    regressors: Float[Tensor, "documents tokens regressors"], cluster: Int[Tensor, " documents"]
) -> Float[Tensor, "clusters regressors regressors"]:
    """`G_k = Σ_{t∈k} m m'` of each cluster in float64; clusters are numbered from 0.

    Example:
        >>> rows = torch.tensor([[[1.0], [2.0]], [[3.0], [0.0]]])
        >>> cluster_grams(rows, torch.tensor([0, 0])).flatten().tolist()
        [14.0]
    """
    wide = regressors.double()
    own = torch.bmm(wide.transpose(1, 2), wide)
    clusters = int(cluster.max()) + 1 if len(cluster) else 0
    return own.new_zeros(clusters, *own.shape[1:]).index_add_(0, cluster, own)


def deletion_weights(
    gram: Float[Tensor, "regressors regressors"], clusters: Float[Tensor, "k regressors regressors"], concepts: int
) -> Float[Tensor, "k regressors concepts"]:
    r"""First columns of `(G − G_k)⁻¹` for each cluster; the pseudo-inverse where nothing is left of a regressor.

    Args:
        gram: `G` of all documents, the ridge's penalty included.
        clusters: `G_k`.
        concepts: Number of columns.

    Example:
        >>> deletion_weights(torch.tensor([[8.0]]).double(), torch.tensor([[[3.0]], [[8.0]]]).double(), 1).tolist()
        [[[0.2]], [[0.0]]]
    """
    rest = gram - clusters
    factor, failed = torch.linalg.cholesky_ex(rest)
    if bool((failed > 0).any()):
        inverse: Tensor = torch.linalg.pinv(rest, hermitian=True)
        return inverse[..., :concepts]
    unit = torch.eye(len(gram), concepts, dtype=gram.dtype, device=gram.device)
    solved: Tensor = torch.cholesky_solve(unit.expand(len(rest), -1, -1), factor)
    return solved


def leverage_sums(
    gram: Float[Tensor, "regressors regressors"],
    inverse: Float[Tensor, "regressors regressors"],
    clusters: Float[Tensor, "k regressors regressors"],
    weights: Float[Tensor, "k regressors concepts"],
) -> Float[Tensor, "four concepts"]:
    r"""What a batch adds to the degrees of freedom of each concept's variance.

    The jackknife variance is a quadratic form of the errors, over documents, whose matrix `Q` hangs on the regressors
    alone: `Q_kl = δ_kl a_k'a_k − b_k' G⁻¹ b_l` with `a_k = M_k (G − G_k)⁻¹ e_c` and `b_k = M_k' a_k`. Kept are
    `Σ Q_kk`, `Σ Q_kk²` and, for the elements off the diagonal, `Σ v_k²` and `Σ v_k⁴` of the projections `v_k` of the
    `b_k` on their common direction `G G⁻¹ e_c`: what is left out of them only raises `Σ Q_kl²` by a few per cent.

    Args:
        gram: `G` of all documents, the ridge's penalty included.
        inverse: `G⁻¹`.
        clusters: `G_k` of whole documents.
        weights: Their :func:`deletion_weights`.

    Returns:
        Sums over the clusters, float64.
    """
    concepts = weights.shape[2]
    pull = torch.bmm(clusters, weights)  # b_k
    own = (weights * pull).sum(1) - (pull * (inverse @ pull)).sum(1)
    common = gram @ inverse[:, :concepts]
    length = (common * (inverse @ common)).sum(0).clamp(min=1e-300).sqrt()
    along = ((inverse @ common) * pull).sum(1) / length
    return torch.stack([own.sum(0), own.square().sum(0), along.square().sum(0), along.pow(4).sum(0)])


def satterthwaite(sums: Float[Tensor, "four concepts"]) -> Float[Tensor, " concepts"]:
    r"""Degrees of freedom of each concept's jackknife variance, at least 1.

    .. math:: \nu_c = \frac{(\operatorname{tr} Q)^2}{\sum_{kl} Q_{kl}^2}

    Source: Bell and McCaffrey (2002), independent errors as the working model, with the jackknife's weights (their CR3
    is that of MacKinnon and White 1985). About the number of documents that hold the concept, less one, where all hold
    it alike; far fewer where a few hold most of it.

    Args:
        sums: Of :func:`leverage_sums`, over all documents.

    Example:
        >>> ten_alike = torch.tensor([[10.0], [10.0], [1.0], [0.1]]).double()
        >>> satterthwaite(ten_alike).round(decimals=2).tolist()
        [9.17]
    """
    trace, squares, along, along_fourth = sums
    off_diagonal = (along.square() - along_fourth).clamp(min=0)
    freedom: Tensor = trace.square() / (squares + off_diagonal).clamp(min=1e-300)
    return freedom.clamp(min=1)
