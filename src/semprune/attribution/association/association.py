"""The association as an artefact: which neuron carries which concept, how surely, and how exclusively."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from torch import Tensor

from semprune.attribution.association.fitted_documents import FittedDocuments
from semprune.attribution.association.neurons import NeuronIndex
from semprune.attribution.association.score import (
    DEFAULT_RANKING,
    GATES,
    NEURON_CLASSES,
    Facets,
    association_score,
    rank_neurons,
    row_specificity,
)
from semprune.errors import (
    BackboneMismatchError,
    CorruptArtefactError,
    NoGatesError,
    NonFiniteError,
    UnknownConceptError,
)
from semprune.io.tensor_files import read_sealed, write_sealed
from semprune.types import Fingerprint, NeuronSite

FORMAT = "semprune.association/1"
_TENSORS = ("matrix", "t", "q", "gate", "any_concept", "neuron_class", "mean", "rms")
_FITTED = "fitted_documents"


@dataclass(frozen=True)
class Association:
    """Neuron × concept association of one backbone.

    Attributes:
        matrix: Partial effect of each concept on each neuron, in standard deviations of the activation per standard
            deviation of the label.
        t: Document-clustered t of each effect.
        q: q-value within layer × concept.
        gate: Which associations are discoveries.
        any_concept: Effect of carrying any concept word at all.
        neuron_class: Index into ``NEURON_CLASSES``.
        mean: Mean raw activation, the constant for mean-ablation.
        rms: Root mean square of the raw activation.
        concepts: Names, in the order of the columns.
        levels: ``token`` or ``sequence`` for each concept.
        sites: Neuron sites, in the order of the rows.
        fingerprint: The backbone.
        settings: How it was fitted.
        fitted: The documents that it was fitted on; None where that is not known (made before it was kept).
        gates: The causal half: scores of gates learned through the model, 0 for a concept's least neuron, larger is
            more of a carrier (equations.md S8); a column of NaN where they were not learned; None without any.
    """

    matrix: Float[Tensor, "neurons concepts"]
    t: Float[Tensor, "neurons concepts"]
    q: Float[Tensor, "neurons concepts"]
    gate: Bool[Tensor, "neurons concepts"]
    any_concept: Float[Tensor, " neurons"]
    neuron_class: Int[Tensor, " neurons"]
    mean: Float[Tensor, " neurons"]
    rms: Float[Tensor, " neurons"]
    concepts: tuple[str, ...]
    levels: tuple[str, ...]
    sites: tuple[NeuronSite, ...]
    fingerprint: Fingerprint
    settings: dict[str, Any]
    fitted: FittedDocuments | None = None
    gates: Float[Tensor, "neurons concepts"] | None = None

    def __repr__(self) -> str:
        """Size, backbone, discoveries and gates: its tensors would fill pages."""
        gates = f"; gates of {', '.join(self.gated_concepts)}" if self.gated_concepts else ""
        return (
            f"Association({self.settings.get('backbone', 'a backbone')}: {len(self.rms):,} neurons × "
            f"{len(self.concepts)} concepts, {int(self.gate.sum()):,} discoveries{gates})"
        )

    @cached_property
    def index(self) -> NeuronIndex:
        """Which row is which neuron."""
        return NeuronIndex(self.sites)

    @property
    def neurons(self) -> tuple[str, ...]:
        """Names of the rows, ``layers.15.mlp/219``."""
        return self.index.names

    def rows(self, names: Iterable[str]) -> Int[Tensor, " chosen"]:
        """Rows of neurons, in the order of their names.

        Raises:
            UnknownNeuronError: There is no such neuron.
        """
        return self.index.rows(names)

    @property
    def layer(self) -> Int[Tensor, " neurons"]:
        """Layer of each row."""
        return self.index.layers

    @cached_property
    def specificity(self) -> Float[Tensor, "neurons concepts"]:
        """Row specificity ρ, within each level (equations.md S4)."""
        return self._by_level(row_specificity)

    @cached_property
    def score(self) -> Float[Tensor, "neurons concepts"]:
        """Association score S, 0 where not gated (equations.md S4)."""
        return self._by_level(association_score) * self.gate

    def _by_level(self, function: Any) -> Float[Tensor, "neurons concepts"]:
        out = torch.zeros_like(self.matrix)
        for level in dict.fromkeys(self.levels):
            columns = torch.tensor([k for k, own in enumerate(self.levels) if own == level])
            out[:, columns] = function(self.matrix[:, columns])
        return out

    def column(self, concept: str) -> int:
        """Column of a concept.

        Raises:
            UnknownConceptError: The association does not hold it.
        """
        if concept not in self.concepts:
            raise UnknownConceptError(concept, self.concepts)
        return self.concepts.index(concept)

    @property
    def deviation(self) -> Float[Tensor, " neurons"]:
        """Standard deviation of each raw activation."""
        return (self.rms.square() - self.mean.square()).clamp(min=0).sqrt()

    def ranking(self, concept: str, by: str = DEFAULT_RANKING) -> Float[Tensor, " neurons"]:
        """Signed ranking of all neurons for a concept; 0 where the association is not a discovery.

        Args:
            concept: Name of a column.
            by: A name of :data:`semprune.attribution.association.score.RANKINGS`: ``strength``, ``effect``, ``t``,
                ``score`` or ``raw_effect``, negative for suppressors; or ``gates``, which asks for no discovery.

        Raises:
            SettingError: There is no such ranking.
            UnknownConceptError: The association does not hold the concept.
            NoGatesError: Its gates were not learned.
        """
        column = self.column(concept)
        if by == GATES:
            if self.gates is None or concept not in self.gated_concepts:
                raise NoGatesError(concept, self.gated_concepts)
            return self.gates[:, column]
        facets = Facets(self.matrix[:, column], self.t[:, column], self.score[:, column], self.deviation)
        return rank_neurons(facets, by) * self.gate[:, column]

    @property
    def gated_concepts(self) -> tuple[str, ...]:
        """Concepts whose gates were learned."""
        learned = [False] * len(self.concepts) if self.gates is None else self.gates.isfinite().all(0).tolist()
        return tuple(name for name, known in zip(self.concepts, learned, strict=True) if known)

    def top(self, concept: str, k: int = 20, by: str = DEFAULT_RANKING) -> list[str]:
        """Names of the ``k`` neurons most excited by a concept, strongest first; fewer if fewer are discoveries.

        By ``gates``, those that the model needs most for the concept.
        """
        strength = self.ranking(concept, by)
        best = strength.topk(min(k, len(strength)))
        names = self.neurons
        return [names[row] for row, value in zip(best.indices.tolist(), best.values.tolist(), strict=True) if value > 0]

    def class_names(self) -> list[str]:
        """Class of each neuron, by name."""
        return [NEURON_CLASSES[index] for index in self.neuron_class.tolist()]

    def require(self, fingerprint: Fingerprint) -> None:
        """Raise BackboneMismatchError unless the association was made with this backbone."""
        if not self.fingerprint.fits(fingerprint):
            raise BackboneMismatchError("the association", str(self.fingerprint), str(fingerprint))

    def save(self, path: Path) -> None:
        """Write atomically as safetensors, with everything else and a hash of it all in the header.

        Raises:
            NonFiniteError: A number of it is NaN or infinite; nothing is written.
        """
        header: dict[str, Any] = {
            "concepts": self.concepts,
            "levels": self.levels,
            "sites": [asdict(site) for site in self.sites],
            "fingerprint": asdict(self.fingerprint),
            "settings": self.settings,
        }
        tensors = {name: getattr(self, name).contiguous() for name in _TENSORS}
        if self.gates is not None:
            learned = ~self.gates.isnan().all(0)
            tensors[GATES] = self.gates.where(learned, 0.0).contiguous()
            header[GATES] = [name for name, known in zip(self.concepts, learned.tolist(), strict=True) if known]
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise NonFiniteError(f"`{name}` of the association")
        if self.fitted is not None:
            about = {name: value for name, value in vars(self.fitted).items() if name != "hashes"}
            header[_FITTED] = about | {"documents": len(self.fitted.hashes)}
            tensors[_FITTED] = self.fitted.hashes
        write_sealed(path, tensors, header, kind=FORMAT)


def load_association(path: Path | str) -> Association:
    """Read an association that :meth:`Association.save` wrote.

    Raises:
        CorruptArtefactError: The file is missing, something else, or not what was written. One of a version that kept
            no hash is taken as it is, with a line in the log.
    """
    remedy = "Fit again with `semprune fit`, or pass the association.safetensors that it wrote."
    try:
        header, tensors = read_sealed(Path(path), kind=FORMAT)
        gates = tensors.get(GATES)
        if gates is not None:
            gates = gates.where(torch.tensor([name in header[GATES] for name in header["concepts"]]), torch.nan)
        fitted = _fitted(header[_FITTED], tensors[_FITTED]) if _FITTED in header else None
        return Association(
            **{name: tensors[name] for name in _TENSORS},
            concepts=tuple(header["concepts"]),
            levels=tuple(header["levels"]),
            sites=tuple(NeuronSite(**site) for site in header["sites"]),
            fingerprint=Fingerprint(**header["fingerprint"]),
            settings=header["settings"],
            fitted=fitted,
            gates=gates,
        )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise CorruptArtefactError(path, str(error), remedy) from error


def _fitted(about: dict[str, Any], hashes: Tensor) -> FittedDocuments:
    return FittedDocuments(hashes, about["digest"], tuple(about["datasets"]), about["validation_share"], about["seed"])
