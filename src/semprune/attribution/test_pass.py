"""What one test pass finds: predictions of items, associations on held-out documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import pandas as pd
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.fit.learner import AttributionLearner, LabelledBatch
from semprune.attribution.held_out.sums import HeldOutSums
from semprune.attribution.neurons.watch import Watch, token_evidence
from semprune.attribution.semantic_loss.concept_norms import INPUT_ROLES, ConceptNorms
from semprune.attribution.semantic_loss.damage import DenseReference, semantic_damage
from semprune.attribution.semantic_loss.pruned_weights import PrunedWeights
from semprune.attribution.semantic_loss.weights_only import weights_only_loss
from semprune.backbones import Backbone
from semprune.data import dataset_spec
from semprune.evaluation import item_fidelity, summarise
from semprune.evaluation.predictions.scorer import Scorer
from semprune.pruning import find_method
from semprune.pruning.methods import methods
from semprune.pruning.weights.linear import stored_weight


class TestPass:
    """Collects one pass, dense or pruned.

    Attributes:
        scorer: Collects predictions.
        predictions: All ranks' predictions; after :meth:`finish`.
        left_out: Items of each data set and prompt that could not be scored.
        held_out: Associations on held-out documents; None without an association.
        watch: Raw activations of the watched neurons; None without any.
        weights: The pruned MLPs' weights, and the attention's where asked for, if the method changes what it keeps;
            after :meth:`keep_weights`.
        reference: This dense pass as what pruned ones are compared with; from the first comparison on.
        norms: Norms of the MLPs' inputs over each concept's tokens, for the weights-only loss; None where not asked.
    """

    __test__ = False  # not a test class, whatever its name suggests to pytest
    predictions: pd.DataFrame

    def __init__(
        self, learner: AttributionLearner | None, watched: Sequence[int] = (), norms: ConceptNorms | None = None
    ) -> None:
        """Start empty.

        Args:
            learner: The fitted learner; None where no association is measured.
            watched: Rows of neurons whose raw activations are kept.
            norms: Empty; gathered in this pass.
        """
        self.scorer = Scorer()
        self.left_out: Mapping[tuple[str, str], int] = {}
        self.norms = norms
        self.held_out = HeldOutSums(learner) if learner is not None else None
        self.watch: Watch | None = None
        if learner is not None and watched:
            self.watch = Watch(watched, learner.standardiser.index, len(learner.shape.classes))

    @classmethod
    def begin(
        cls, lm: Backbone, learner: AttributionLearner | None, watched: Sequence[int], *, norms: bool
    ) -> TestPass:
        """Start a pass over a model as it is; ``norms`` gathers what the weights-only loss needs of the dense one."""
        if learner is None or not norms:
            return cls(learner, watched)
        return cls(learner, watched, ConceptNorms(lm, len(learner.shape.concepts) + len(learner.shape.classes)))

    weights: dict[str, Tensor] | None = None
    reference: DenseReference | None = None

    def add_documents(self, lm: Backbone, labelled: LabelledBatch) -> None:
        """Add a batch of held-out documents."""
        if self.held_out is None:
            return
        with ExitStack() as stack:
            if self.norms is not None:
                evidence = token_evidence(labelled, len(self.held_out.learner.shape.classes))
                stack.enter_context(self.norms.gathering(evidence, labelled.batch.cluster))
            self.held_out.add(lm, labelled, self.watch)

    def finish(self) -> None:
        """Gather over ranks."""
        self.predictions = self.scorer.predictions()
        if self.held_out is not None:
            self.held_out.finish()
        if self.norms is not None:
            self.norms.finish()
        if self.watch is not None:
            self.watch.finish()

    def results(self, dense: TestPass | None = None, *, seed: int = 0) -> pd.DataFrame:
        """Metrics with intervals, paired with the dense pass where there is one."""
        names = sorted(self.predictions["dataset"].unique())
        return summarise(
            self.predictions,
            dense.predictions if dense is not None else None,
            families={name: dataset_spec(name).family for name in names},
            metrics={name: dataset_spec(name).metrics for name in names},
            left_out=self.left_out,
            seed=seed,
        )

    def semantic_loss(self, dense: TestPass, association: Association) -> pd.DataFrame:
        """Semantic loss of this pass against the dense one; empty where no document was read."""
        if self.held_out is None or dense.held_out is None or not self.held_out.blocks:
            return pd.DataFrame()
        if dense.reference is None or dense.reference.association is not association:
            dense.reference = DenseReference(association, dense.held_out)  # kept: a study asks with every cell
        return semantic_damage(dense.reference, self.held_out)

    def keep_moved_weights(self, lm: Backbone, method: str, *, attention: bool) -> None:
        """Copy the weights of a pass under a method that changes those it keeps; see :meth:`keep_weights`."""
        if method in methods() and find_method(method).changes_weights:
            self.keep_weights(lm, attention=attention)

    def keep_weights(self, lm: Backbone, *, attention: bool = False) -> None:
        """Copy the MLPs' weights as they are in this pass: for methods that change the weights they keep.

        Args:
            lm: The model, pruned.
            attention: Whether to copy those of the attention too, for losses that run the pruned model again.
        """
        mlp = (*INPUT_ROLES, "down")
        own = [matrix for matrix in lm.matrices if (attention or matrix.role in mlp) and matrix.expert is None]
        self.weights = {matrix.name: stored_weight(lm.model, matrix.name).to("cpu", copy=True) for matrix in own}

    def weights_only_loss(self, lm: Backbone, association: Association, changed: Mapping[str, Tensor]) -> pd.DataFrame:
        """Weights-only semantic loss of a pruning, from this dense pass; empty where nothing was gathered for it.

        Args:
            lm: The backbone, dense again.
            association: The fitted association.
            changed: Masks, or :attr:`weights` of the pruned pass where there are any.

        Raises:
            BackboneMismatchError: The association is another backbone's.
        """
        if self.norms is None or self.held_out is None or not self.held_out.blocks:
            return pd.DataFrame()
        if any(site.kind != "mlp" for site in association.sites):
            return pd.DataFrame()  # heads have no gate, up and down of their own
        effects = self.held_out.effects.cpu()
        return weights_only_loss(lm, association, self.norms, PrunedWeights(lm, changed), effects=effects)

    def scalars(self, dense: TestPass | None, association: Association | None) -> dict[str, float]:
        """Values for a logger: ``dataset/metric``; of a pruned pass also fidelity and ``semantic_loss/concept``."""
        table = self.results(dense)
        names = table["dataset"] + "/" + table["metric"]
        out: dict[str, float] = dict(zip(names, table["value"].astype(float), strict=True))
        if dense is not None:
            near = item_fidelity(dense.predictions, self.predictions).rename(columns={"divergence": "item_kl"})
            for measure in ("item_kl", "flips", "rank_agreement"):
                out |= dict(zip(near["dataset"] + "/" + measure, near[measure].astype(float), strict=True))
        if dense is not None and association is not None:
            loss = self.semantic_loss(dense, association)
            if len(loss):
                whole = loss[loss["layer"] == -1]
                out |= dict(zip("semantic_loss/" + whole["concept"], whole["xsl"].astype(float), strict=True))
        return out
