"""The encoding model (equations.md S2) as pure functions of streaming sums.

Activation is explained by concepts, `z_t = B' m_t + e_t`, with `m = [ŷ, u]` (concept labels, then nuisances).
Everything the fit needs is in four sums that add exactly over batches, documents and ranks:
`G = Σ m m'`, `R = Σ m z'`, `Σ z²` and the number of observations. The closed form, the gradient of the
loss and the loss itself are functions of these sums, so the learned and the solved matrix share one code path.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(slots=True)
class EncodingSums:
    """Sufficient statistics of the encoding model.

    Attributes:
        gram: `Σ m m'`, fp32 or fp64.
        cross: `Σ m z'`.
        squares: `Σ z²` per neuron.
        count: Number of observations.
    """

    gram: Float[Tensor, "regressors regressors"]
    cross: Float[Tensor, "regressors neurons"]
    squares: Float[Tensor, " neurons"]
    count: Float[Tensor, ""]

    @classmethod
    def of(cls, regressors: Float[Tensor, "n regressors"], targets: Float[Tensor, "n neurons"]) -> EncodingSums:
        """Sums over the rows of one batch.

        Example:
            >>> sums = EncodingSums.of(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]]))
            >>> sums.gram.item(), sums.cross.item(), sums.squares.item(), sums.count.item()
            (5.0, 11.0, 25.0, 2.0)
        """
        return cls(
            gram=regressors.T @ regressors,
            cross=regressors.T @ targets,
            squares=targets.square().sum(0),
            count=torch.tensor(float(len(regressors)), device=regressors.device),
        )


def solve(sums: EncodingSums, ridge: float = 1e-4, rows: int | None = None) -> Float[Tensor, "regressors neurons"]:
    r"""Closed form of the encoding loss.

    .. math:: B = (G/n + \lambda I)^{-1} R/n

    Source: equations.md S2 (ridge regression). Solved in float64.

    Args:
        sums: Sufficient statistics.
        ridge: λ, relative to observations with unit variance; keeps dummies that sum to one solvable.
        rows: How many of the first regressors are asked for; None for all.

    Returns:
        Coefficients, fp32.

    Example:
        >>> m = torch.tensor([[1.0, 1.0], [1.0, -1.0], [1.0, 2.0]])
        >>> z = m @ torch.tensor([[0.5], [2.0]])
        >>> [round(v, 3) for v in solve(EncodingSums.of(m, z), ridge=0.0).flatten().tolist()]
        [0.5, 2.0]
    """
    return (inverse_gram(sums, ridge)[:rows] @ (sums.cross.double() / sums.count.double())).float()


def inverse_gram(sums: EncodingSums, ridge: float = 1e-4) -> Float[Tensor, "regressors regressors"]:
    """`(G/n + λI)⁻¹` in float64; the pseudo-inverse where λ is 0 and G is singular."""
    gram = sums.gram.double() / sums.count.double()
    penalty = ridge * torch.eye(len(gram), dtype=torch.float64, device=gram.device)
    inverse: Tensor = torch.linalg.pinv(gram + penalty, hermitian=True)
    return inverse


def gradient(
    sums: EncodingSums, coefficients: Float[Tensor, "regressors neurons"], ridge: float = 1e-4
) -> Float[Tensor, "regressors neurons"]:
    r"""Gradient of :func:`loss` in the coefficients.

    .. math:: \nabla_B = (G B - R)/n + \lambda B
    """
    return (sums.gram @ coefficients - sums.cross) / sums.count + ridge * coefficients


def loss(
    sums: EncodingSums, coefficients: Float[Tensor, "regressors neurons"], ridge: float = 1e-4
) -> Float[Tensor, ""]:
    r"""Encoding loss of equations.md S2, summed over neurons, mean over observations.

    .. math:: \frac{1}{2n}\left(\sum z^2 - 2\langle B, R\rangle + \langle B, G B\rangle\right)
              + \frac{\lambda}{2}\lVert B\rVert^2

    Example:
        >>> sums = EncodingSums.of(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]]))
        >>> round(loss(sums, torch.tensor([[2.0]]), ridge=0.0).item(), 6)  # residuals 1 and 0
        0.25
    """
    fit = (coefficients * (sums.gram @ coefficients - 2 * sums.cross)).sum()
    return (sums.squares.sum() + fit) / (2 * sums.count) + ridge / 2 * coefficients.square().sum()


def unexplained_share(sums: EncodingSums, coefficients: Float[Tensor, "regressors neurons"]) -> Float[Tensor, ""]:
    """Share of `Σ z²` that the coefficients leave unexplained, over all neurons: 1 is nothing explained."""
    fit = (coefficients * (sums.gram @ coefficients - 2 * sums.cross)).sum()
    return 1 + fit / sums.squares.sum().clamp(min=1e-30)


def independent_t(
    sums: EncodingSums, coefficients: Float[Tensor, "regressors neurons"], ridge: float, concepts: int
) -> Float[Tensor, "neurons concepts"]:
    """T of the first ``concepts`` coefficients as if observations were independent; 0 for dead neurons.

    Known after one pass. Never a certainty: tokens of a document are not independent. It serves to choose neurons, and
    as the statistic of permutations of whole documents, which give it its own null distribution.
    """
    inverse = inverse_gram(sums, ridge)
    explained = (coefficients * sums.cross.float()).sum(0)
    residual = ((sums.squares.float() - explained) / sums.count.float()).clamp(min=0)
    deviation = (inverse.diagonal()[:concepts, None].float() * residual / sums.count.float()).sqrt()
    t = coefficients[:concepts] / deviation.clamp(min=1e-30)
    return torch.where(deviation > 0, t, 0).T
