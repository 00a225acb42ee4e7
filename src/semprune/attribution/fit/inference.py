"""Inference on the association (equations.md S5): document-clustered t, p-values and the FDR gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from torch import Tensor

from semprune.attribution.standardisation.site_pass import ReusedMemory, sum_of_squares


@dataclass(frozen=True, slots=True)
class Influence:
    """How far the residuals of a batch move each concept's coefficient, the same for all neurons.

    Attributes:
        weights: `w` of each observation; 0 at tokens that do not count. Its dtype is that of the products.
        explained: `Σ_t w_t m_t'` of each text.
        cluster: Number of each text's cluster, from 0: sentences of one review are one cluster.
        clusters: How many there are.
    """

    weights: Float[Tensor, "documents concepts tokens"]
    explained: Float[Tensor, "documents concepts regressors"]
    cluster: Int[Tensor, " documents"]
    clusters: int

    @classmethod
    def of(
        cls,
        weights: Float[Tensor, "documents tokens concepts"],
        regressors: Float[Tensor, "documents tokens regressors"],
        cluster: Int[Tensor, " documents"],
        dtype: torch.dtype = torch.float32,
    ) -> Influence:
        """Prepare a batch's weights `w` and regressors `m` for products in a number format."""
        turned = weights.transpose(1, 2)
        clusters = int(cluster.max()) + 1 if len(cluster) else 0
        return cls(turned.to(dtype), torch.bmm(turned, regressors).to(dtype), cluster, clusters)


def clustered_scores(
    influence: Influence,
    targets: Float[Tensor, "documents tokens neurons"],
    coefficients: Float[Tensor, "regressors neurons"],
    memory: ReusedMemory | None = None,
) -> Float[Tensor, "concepts neurons"]:
    r"""Contribution of a batch to the clustered variance of each coefficient.

    .. math:: V_{cj} = \sum_k \Big(\sum_{t \in k} w_{tc} (z_{tj} - m_t' B_j)\Big)^2,
              \quad w_t = (G + n \lambda I - G_{k(t)})^{-1} m_t

    Source: equations.md S5; the jackknife over documents, known as CR3 (MacKinnon and White 1985, Bell and McCaffrey
    2002): the inner sum is what the coefficient loses with document k. Residuals are never formed:
    `Σ_t w_t e_t' = Σ_t w_t z_t' − (Σ_t w_t m_t') B`.

    Args:
        influence: `w` of the batch.
        targets: `z`, in the dtype of the weights.
        coefficients: `B`, the closed form.
        memory: For what the regressors explain; new memory where left out.

    Example:
        >>> w = torch.tensor([[[1.0], [1.0]], [[2.0], [0.0]]])  # two texts of two tokens
        >>> z = torch.tensor([[[3.0], [-1.0]], [[1.0], [5.0]]])
        >>> no, apart, one = torch.zeros(1, 1), torch.tensor([0, 1]), torch.tensor([0, 0])
        >>> clustered_scores(Influence.of(w, torch.ones(2, 2, 1), apart), z, no).item()  # (3 - 1)² + (2 · 1)²
        8.0
        >>> clustered_scores(Influence.of(w, torch.ones(2, 2, 1), one), z, no).item()  # (3 - 1 + 2 · 1)²
        16.0
    """
    explained, device = influence.explained, targets.device
    texts = (memory or ReusedMemory()).take((*explained.shape[:2], targets.shape[2]), explained.dtype, device)
    torch.mm(explained.flatten(0, 1), coefficients.to(explained.dtype), out=texts.flatten(0, 1))
    texts.baddbmm_(influence.weights, targets, beta=-1)
    if influence.clusters == len(texts):
        return sum_of_squares(texts)
    whole = torch.zeros(influence.clusters, *texts.shape[1:], device=device)
    return sum_of_squares(whole.index_add_(0, influence.cluster, texts.float()))


def two_sided_p(
    t: Float[Tensor, "neurons concepts"], degrees_of_freedom: Float[Tensor, " concepts"]
) -> Float[Tensor, "neurons concepts"]:
    """Two-sided p-value of Student's t.

    A clustered variance rests on the documents that hold the concept; with few of them the normal would find far too
    much.

    Example:
        >>> round(two_sided_p(torch.tensor([[2.228139]]), torch.tensor([10.0])).item(), 4)
        0.05
    """
    return torch.from_numpy(2 * stats.t.sf(t.abs().double().cpu().numpy(), degrees_of_freedom.cpu().numpy()))


def gate(
    t: Float[Tensor, "neurons concepts"],
    degrees_of_freedom: Float[Tensor, " concepts"],
    layer_widths: tuple[int, ...],
    q: float = 0.05,
) -> tuple[Bool[Tensor, "neurons concepts"], Float[Tensor, "neurons concepts"]]:
    """Which associations are discoveries: q-value below ``q`` within their layer × concept.

    Args:
        t: Clustered t of each association.
        degrees_of_freedom: Of each concept's t.
        layer_widths: Number of neurons of each site, in the order of the rows.
        q: False discovery rate to control.

    Returns:
        The gate, and the q-values (fp64).
    """
    families = two_sided_p(t, degrees_of_freedom).split(layer_widths)
    # Benjamini and Hochberg (1995), each column of a layer a family of its own
    corrected = [stats.false_discovery_control(layer.numpy(), axis=0) for layer in families]
    q_values = torch.from_numpy(np.concatenate(corrected)).to(t.device)
    return q_values < q, q_values


def design_effect(
    independent: Float[Tensor, "neurons concepts"], clustered: Float[Tensor, "neurons concepts"]
) -> Float[Tensor, " neurons"]:
    """How many times wider a neuron's clustered errors are than independent ones: the median over concepts, at least 1.

    Carries the clustering over to a coefficient of the same neuron that has no clustered variance of its own. Source:
    ours, after the design effect of survey sampling (Kish 1965).

    Example:
        >>> design_effect(torch.tensor([[4.0, 3.0, 9.0]]), torch.tensor([[2.0, 3.0, 3.0]])).tolist()
        [2.0]
    """
    ratio = torch.where(clustered != 0, independent / torch.where(clustered != 0, clustered, 1), torch.nan)
    median: Tensor = ratio.nanmedian(1).values
    return median.nan_to_num(nan=1.0).clamp(min=1)
