"""What a learning step needs of one batch: its sums and the decoders' inputs, at both levels."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.fit.decoder import Decoder, Selection
from semprune.attribution.fit.encoder import Encoder
from semprune.attribution.fit.encoding import EncodingSums
from semprune.attribution.fit.inference import Influence


@dataclass(slots=True)
class LevelStatistics:
    """Tokens, or whole documents, of one batch.

    Attributes:
        encoder: Whose variances grow.
        regressors: `m` of each observation.
        sums: Sums over the observations.
        selection: The decoder's inputs.
        influence: What the variances need; None where they are not asked for.
    """

    encoder: Encoder
    regressors: Float[Tensor, "n regressors"]
    sums: EncodingSums
    selection: Selection
    influence: Influence | None

    @classmethod
    def begin(
        cls,
        encoder: Encoder,
        decoder: Decoder,
        regressors: Float[Tensor, "documents tokens regressors"],
        count: Int[Tensor, ""],
        influence: Influence | None,
    ) -> LevelStatistics:
        """Prepare for one forward; ``count`` of the batch's observations are not 0."""
        rows = regressors.flatten(0, 1)
        neurons = encoder.coefficients.shape[1]
        sums = EncodingSums(
            gram=rows.T @ rows,
            cross=rows.new_zeros(rows.shape[1], neurons),
            squares=rows.new_zeros(neurons),
            count=count.float(),
        )
        return cls(encoder, rows, sums, Selection(decoder, len(rows), rows.device), influence)

    def add(
        self,
        where: slice,
        targets: Float[Tensor, "documents tokens neurons"],
        squares: Float[Tensor, " neurons"] | None = None,
    ) -> None:
        """Add one site's activations.

        Args:
            where: The site's neurons.
            targets: `z`, 0 where an observation does not count.
            squares: `Σ z²` where it is known already.
        """
        flat = targets.flatten(0, 1)
        self.selection.take(where, flat.index_select(1, self.selection.wanted(where)))
        self.sums.cross[:, where] = self.regressors.T @ flat
        self.sums.squares[where] = flat.square().sum(0) if squares is None else squares
        if self.influence is not None:
            self.encoder.add_variance(where, self.influence, targets)


@dataclass(slots=True)
class BatchStatistics:
    """One batch at both levels."""

    token: LevelStatistics
    sequence: LevelStatistics
