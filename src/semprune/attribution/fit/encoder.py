"""One level of the association (tokens, or whole documents): its parameter and its streaming sums."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.attribution.fit.cr3_jackknife import cluster_grams, deletion_weights, leverage_sums, satterthwaite
from semprune.attribution.fit.encoding import EncodingSums, gradient, independent_t, loss, solve, unexplained_share
from semprune.attribution.fit.inference import Influence, clustered_scores
from semprune.attribution.standardisation.site_pass import ReusedMemory
from semprune.io.distributed import sum_over_ranks


class Encoder(nn.Module):
    """Coefficients `B [regressors, neurons]` of the encoding model; the first rows are the concepts' effects.

    Attributes:
        coefficients: The learned matrix, fp32.
        closed_form: The solution of the normal equations over the fitting documents.
        variance: Document-clustered variance of each concept's coefficient: the jackknife over documents.
        leverage: What its degrees of freedom are made from.
    """

    coefficients: nn.Parameter
    gram: Tensor
    cross: Tensor
    squares: Tensor
    count: Tensor
    closed_form: Tensor
    variance: Tensor
    leverage: Tensor

    def __init__(self, regressors: int, neurons: int, concepts: int, ridge: float) -> None:
        """Allocate the parameter and the sums."""
        super().__init__()
        self.concepts = concepts
        self.ridge = ridge
        self.coefficients = nn.Parameter(torch.zeros(regressors, neurons))
        self.register_buffer("gram", torch.zeros(regressors, regressors, dtype=torch.float64))
        # float64: sums over one or several ranks then round to the same fp32 solution
        self.register_buffer("cross", torch.zeros(regressors, neurons, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(neurons, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("closed_form", torch.zeros(regressors, neurons))
        self.register_buffer("variance", torch.zeros(concepts, neurons, dtype=torch.float64))
        self.register_buffer("leverage", torch.zeros(4, concepts, dtype=torch.float64))
        self._explained, self._rounded = ReusedMemory(), ReusedMemory()
        self._normal: tuple[Tensor, Tensor] | None = None  # `G + nλI` and its inverse, once the sums are whole

    @property
    def sums(self) -> EncodingSums:
        """The accumulated sufficient statistics."""
        return EncodingSums(self.gram, self.cross, self.squares, self.count)

    def add_gram(self, regressors: Float[Tensor, "n regressors"], count: Int[Tensor, ""] | int) -> None:
        """Add a batch's observations, once per batch; ``count`` of its rows are not 0."""
        wide = regressors.double()
        self.gram += wide.T @ wide
        self.count += count

    def add_targets(
        self, where: slice, regressors: Float[Tensor, "n regressors"], targets: Float[Tensor, "n neurons"],
        squares: Float[Tensor, " neurons"] | None = None,
    ) -> None:  # fmt: skip
        """Add a batch's activations of one site; rows that do not count are 0 in ``targets``.

        Args:
            where: The site's neurons.
            regressors: `m` of each row.
            targets: `z` of each row.
            squares: `Σ z²` where it is known already.
        """
        self.cross[:, where].add_(regressors.T @ targets)  # `x[i] += y` would copy `x[i]` onto itself, too
        self.squares[where].add_(targets.square().sum(0) if squares is None else squares)

    def finish_sums(self) -> None:
        """Sum over ranks, solve, and start the learned matrix from the solution."""
        sum_over_ranks(self.gram, self.cross, self.squares, self.count)
        self.closed_form.copy_(solve(self.sums, self.ridge))
        self.coefficients.data.copy_(self.closed_form)
        self._normal = None

    def begin_variance(
        self,
        regressors: Float[Tensor, "documents tokens regressors"],
        cluster: Int[Tensor, " documents"],
        dtype: torch.dtype = torch.float32,
    ) -> Influence:
        """Add a batch of documents to the degrees of freedom, and prepare its variances.

        Args:
            regressors: `m` of the batch; the whole of a cluster must be in it.
            cluster: Number of each row's cluster, from 0.
            dtype: Of the variances' products; bfloat16 rounds each document's part by up to 0.4 %.

        Returns:
            How far one unit of residual at an observation moves each concept's coefficient, its document left out.
        """
        if self._normal is None:
            whole = self.gram + self.ridge * self.count * torch.eye(len(self.gram)).to(self.gram)
            self._normal = whole, torch.linalg.pinv(whole, hermitian=True)
        gram, inverse = self._normal
        own = cluster_grams(regressors, cluster)
        weights = deletion_weights(gram, own, self.concepts)
        self.leverage += leverage_sums(gram, inverse, own, weights)
        return Influence.of(torch.bmm(regressors, weights.to(regressors)[cluster]), regressors, cluster, dtype)

    def add_variance(
        self, where: slice, influence: Influence, targets: Float[Tensor, "documents tokens neurons"]
    ) -> None:
        """Add one site's activations to the variance; ``influence`` is what :meth:`begin_variance` gave."""
        dtype, coefficients = influence.weights.dtype, self.closed_form[:, where]
        if targets.dtype != dtype:
            targets = self._rounded.take(tuple(targets.shape), dtype, targets.device).copy_(targets)
        self.variance[:, where].add_(clustered_scores(influence, targets, coefficients, self._explained))

    def step_loss(self, batch: EncodingSums) -> Float[Tensor, ""]:
        """Set the parameter's gradient from one batch's sums, and give the loss before the step."""
        if batch.count == 0:
            self.coefficients.grad = torch.zeros_like(self.coefficients)
            return batch.count.clone()
        self.coefficients.grad = gradient(batch, self.coefficients.data, self.ridge)
        return loss(batch, self.coefficients.data, self.ridge) / len(batch.squares)

    @property
    def unexplained(self) -> Float[Tensor, ""]:
        """Share of the activations' sum of squares that the learned matrix leaves unexplained."""
        sums = EncodingSums(self.gram.float(), self.cross.float(), self.squares.float(), self.count.float())
        return unexplained_share(sums, self.coefficients.data)

    @property
    def effect(self) -> Float[Tensor, "neurons concepts"]:
        """The learned association: standard deviations of activation per standard deviation of the label."""
        return self.coefficients.data[: self.concepts].T

    @property
    def t(self) -> Float[Tensor, "neurons concepts"]:
        """Document-clustered t of the closed form (equations.md S5); 0 where the variance is 0 (dead neurons)."""
        deviation = self.variance.sqrt().float()
        t = self.closed_form[: self.concepts] / deviation.clamp(min=1e-30)
        return torch.where(deviation > 0, t, 0).T

    @property
    def degrees_of_freedom(self) -> Float[Tensor, " concepts"]:
        """Of each concept's variance (equations.md S5)."""
        return satterthwaite(self.leverage)

    def finish_variance(self) -> None:
        """Sum over ranks."""
        sum_over_ranks(self.variance, self.leverage)

    @property
    def iid_t(self) -> Float[Tensor, "neurons concepts"]:
        """T under independent observations: known after one pass, used only to choose the decoder's inputs."""
        return independent_t(self.sums, self.closed_form, self.ridge, self.concepts)
