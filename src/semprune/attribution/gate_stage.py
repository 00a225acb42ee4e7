"""The stage of a fit that learns causal gates: when it does so; how is in ``gates``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.gates.collateral import Texts
from semprune.attribution.gates.learn import Gates, begin_gates, gates_of, scores_of
from semprune.attribution.gates.learner import GateLearner
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.sources import class_tasks, gate_texts, word_tasks
from semprune.attribution.gates.task import GateTask
from semprune.backbones import Backbone
from semprune.concepts import Concept
from semprune.data import DocumentDataModule
from semprune.errors import ConfigurationError, UnknownGateError
from semprune.types import NeuronSite

CHECKPOINT_KEY = "semprune_gates"
WINDOWS, TOKENS = 48, 64
"""Windows of each text, and tokens of a window: what two cores read in some seconds (ours)."""


@dataclass(frozen=True)
class GateSources:
    """What a fit's gates are learned from."""

    tasks: dict[str, GateTask]
    texts: Texts


def gate_sources(
    lm: Backbone, data: DocumentDataModule, concepts: Sequence[str], words: Sequence[Concept]
) -> GateSources:
    """Items in all wordings, and text, of the documents that a data module trains on.

    Args:
        lm: The dense backbone.
        data: Where documents come from.
        concepts: Classes of its data sets, and names of ``words``.
        words: Concepts of words that are fitted.
    """
    classes = [name for name in concepts if name in data.classes]
    asked = [concept for concept in words if concept.name in concepts and concept.name not in classes]
    found: dict[str, GateTask] = {
        **class_tasks(
            lm, classes, limit=data.limit, seed=data.seed, source=data.source, validation_share=data.validation_share
        ),
        **word_tasks(lm, asked, data.train_documents, TOKENS, data.seed),
    }
    owners = {name.rpartition(".")[0] for name in classes} if not asked else set(data.datasets)
    documents = [document for document in data.train_documents if document.dataset in owners]
    texts = gate_texts(lm, documents, WINDOWS, TOKENS, data.seed)
    return GateSources({name: found[name] for name in concepts}, texts)


class GateStage:
    """Learns gates step by step beside a fit's batches, once activations have their means.

    Attributes:
        concepts: Classes of fitting data sets, and fitted concepts of words.
        settings: How; the seed is that of the data.
        learner: None before the first step.
    """

    def __init__(self, concepts: Sequence[str], settings: GateSettings) -> None:
        """Keep the settings; nothing is read yet."""
        self.concepts, self.settings = list(concepts), settings
        self.learner: GateLearner | None = None
        self._stored: dict[str, Any] | None = None

    def check(self, data: object, words: Sequence[str]) -> None:
        """Refuse concepts that the fit does not hold, before anything runs.

        Args:
            data: Where documents come from.
            words: Concepts of words that are fitted.

        Raises:
            ConfigurationError: The data have no documents with classes.
            UnknownGateError: A concept is neither a class of theirs nor one of the words'.
        """
        classes = getattr(data, "classes", ())
        if not classes:
            raise ConfigurationError(
                "`model.gates` are learned from documents of data sets with classes, and the data have none: fit on "
                "a DocumentDataModule, or leave it out."
            )
        for concept in self.concepts:
            if concept not in (*classes, *words):
                raise UnknownGateError(concept, (*classes, *words))

    def advance(
        self,
        share: float,
        lm: Backbone,
        data: Any,
        words: Sequence[Concept],
        sites: tuple[NeuronSite, ...],
        mean: Float[Tensor, " neurons"],
    ) -> dict[str, float]:
        """Take the steps that are due when a share of the learning epochs is over.

        Args:
            share: In [0, 1]; at 1 every step is taken.
            lm: The frozen backbone.
            data: The fit's data module.
            words: The fit's concepts of words.
            sites: Whose neurons.
            mean: Their means, frozen.

        Returns:
            What the last step found, by the name that it is logged under; empty where none was due.

        Raises:
            SempruneError: See :func:`semprune.attribution.gates.learn.learn_gates`.
        """
        due, found = int(share * self.settings.steps + 1e-9), {}
        if self.learner is None and due:
            self.learner = self._begin(lm, data, words, sites, mean)
        while self.learner is not None and self.learner.steps_done < due:
            found = {f"gates/{name}": value for name, value in self.learner.step().items()}
        return found

    def _begin(
        self, lm: Backbone, data: Any, words: Sequence[Concept], sites: tuple[NeuronSite, ...], mean: Tensor
    ) -> GateLearner:
        sources = gate_sources(lm, data, self.concepts, words)
        k = max(1, int(self.settings.share * len(mean)))
        return begin_gates(
            lm, sources.tasks, sources.texts, mean.cpu(),
            k=k, settings=replace(self.settings, seed=data.seed), sites=sites, state=self._stored,
        )  # fmt: skip

    def add_to(self, checkpoint: dict[str, Any]) -> None:
        """Write what there is, as tensors and plain values."""
        state = self._stored if self.learner is None else self.learner.state()
        if state is not None:
            checkpoint[CHECKPOINT_KEY] = state

    def take_from(self, checkpoint: Mapping[str, Any]) -> None:
        """Go on from a checkpoint, or show what it holds."""
        self.learner, self._stored = None, checkpoint.get(CHECKPOINT_KEY)

    def scores(self, association: Association) -> Float[Tensor, "neurons concepts"] | None:
        """Gate scores of an association's concepts, NaN where they were not learned; None before the first step.

        Of a data set with two classes, both have those of the one that was learned.
        """
        if self.learner is not None:
            gates = gates_of(self.learner)
        elif self._stored is not None:
            gates = Gates(scores_of(self._stored["theta"]), tuple(self._stored["concepts"]))
        else:
            return None
        names, known = association.concepts, gates.concepts
        every = gates.of(names).scores
        classes = [name for name, level in zip(names, association.levels, strict=True) if level == "sequence"]
        for name in classes:
            same = [other for other in classes if other.rpartition(".")[0] == name.rpartition(".")[0]]
            twin = [other for other in same if other != name and other in known]
            if len(same) == 2 and name not in known and twin:
                every[:, names.index(name)] = gates.scores[:, known.index(twin[0])]
        return every
