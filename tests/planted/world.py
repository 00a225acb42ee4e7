"""A planted world: activations whose neurons carry known concepts, streamed through the code that sees real models.

Words belong to concepts, some to two; documents have topics, so a concept's words come in bursts. Every neuron has its
own scale and offset, heavy-tailed noise and a random level per document. The last axis of the world's truth says which
neuron carries which concept; nothing else does:

- exclusive: one concept; echo: a noisy copy of an exclusive neuron; shared: three to five concepts;
- global: any concept word; positional: where a token stands; frequent: how frequent a word is;
- massive: enormous at a few tokens; dead: never moves; the rest is noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from semprune.attribution.fit.average_precision import ConceptAveragePrecision
from semprune.attribution.fit.learner import LearnerShape
from semprune.types import DocumentBatch, Fingerprint, NeuronSite

KINDS = ("noise", "exclusive", "echo", "shared", "global", "positional", "frequent", "massive", "dead", "class")


@dataclass(frozen=True)
class WorldSize:
    """How much of everything there is; numbers of neurons are per layer."""

    documents: int = 400
    tokens: int = 48
    concepts: int = 10
    words: int = 400
    layers: int = 2
    noise: int = 120
    exclusive: int = 30
    echo: int = 20
    shared: int = 20
    global_: int = 12
    positional: int = 10
    frequent: int = 6
    massive: int = 3
    dead: int = 6
    class_: int = 10

    @property
    def kinds(self) -> Tensor:
        """Kind of each neuron of one layer."""
        counts = [getattr(self, kind, None) or getattr(self, f"{kind}_", 0) for kind in KINDS]
        return torch.repeat_interleave(torch.arange(len(KINDS)), torch.tensor(counts))


class World:
    """Documents, labels and the activations of every layer.

    Attributes:
        ids: Token ids `[documents, tokens]`; the first holds the document's number, as an id beyond the words.
        labels: Concepts of every token.
        classes: Class of each document, in the first of two data sets.
        activations: `[documents, tokens, neurons]` of each layer.
        truth: Which neuron carries which concept (exclusive, echo or shared).
        own: Of these, the neurons that carry one concept only (exclusive or echo).
        class_truth: Which neuron tells the two classes apart: it carries one and is low in the other.
        kind: Kind of every neuron, an index into ``KINDS``.
    """

    def __init__(self, size: WorldSize | None = None, seed: int = 0) -> None:
        self.size = size or WorldSize()
        self.random = torch.Generator().manual_seed(seed)
        self._words()
        self._documents()
        layers = [self._layer() for _ in range(self.size.layers)]
        self.activations = [layer[0] for layer in layers]
        self.gain = torch.cat([layer[1] for layer in layers])
        self.class_truth = torch.cat([layer[2] for layer in layers])
        self.kind = self.size.kinds.repeat(self.size.layers)
        self.truth = self.gain > 0
        self.own = self.truth & ((self.kind == 1) | (self.kind == 2))[:, None]

    def _rand(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.random)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.random)

    def _words(self) -> None:
        size = self.size
        self.frequency = 1 / torch.arange(5, size.words + 5).float()
        self.word_concepts = torch.zeros(size.words, size.concepts, dtype=torch.bool)
        taken = torch.randperm(size.words, generator=self.random)[: 12 * size.concepts]
        self.word_concepts[taken, torch.arange(size.concepts).repeat(12)] = True
        second = taken[self._rand(len(taken)) < 0.2]  # a fifth of these words belongs to a second concept
        self.word_concepts[second, torch.randint(size.concepts, (len(second),), generator=self.random)] = True

    def _documents(self) -> None:
        size = self.size
        # a topic makes two concepts of a document eight times as likely as elsewhere
        topic = torch.ones(size.documents, size.concepts)
        topic.scatter_(1, self._rand(size.documents, size.concepts).topk(2, dim=1).indices, 8.0)
        boost = torch.where(
            self.word_concepts.any(1), (self.word_concepts[None] * topic[:, None]).amax(-1), torch.tensor(1.0)
        )
        chosen = torch.multinomial(self.frequency * boost, size.tokens, replacement=True, generator=self.random)
        self.labels = self.word_concepts[chosen]
        self.labels[:, 0] = False
        self.ids = chosen.clone()
        self.ids[:, 0] = size.words + torch.arange(size.documents)
        self.cluster = torch.arange(size.documents) // 2  # two texts of one document each
        self.dataset = (self.cluster % 4 == 3).long()
        self.classes = torch.where(self.dataset == 0, (self.cluster // 4 + self.cluster) % 2, torch.tensor(-1))

    def _layer(self) -> tuple[Tensor, Tensor, Tensor]:
        size, kind = self.size, self.size.kinds
        neurons = len(kind)
        gain = torch.zeros(neurons, size.concepts)
        for row in range(neurons):
            order = torch.randperm(size.concepts, generator=self.random)
            if kind[row] == 1:
                gain[row, order[0]] = 1.5 + 1.5 * self._rand(1).item()
            elif kind[row] == 3:
                some = order[: 3 + int(torch.randint(3, (1,), generator=self.random))]
                gain[row, some] = 1.2 + self._rand(len(some))
        class_gain = torch.zeros(neurons, 2)
        class_gain[kind == 9, torch.arange(size.class_) % 2] = 0.6
        z = torch.einsum("dtc,jc->dtj", self.labels.float(), gain)
        z += self._common(kind)
        z += (class_gain[:, self.classes.clamp(min=0)] * (self.classes >= 0)).T[:, None]
        z += self._noise(neurons)
        copied = (kind == 1).nonzero()[:, 0][: size.echo]
        z[..., kind == 2] = 0.7 * z[..., copied] + 0.7 * self._noise(size.echo)
        gain[kind == 2] = 0.7 * gain[copied]
        scale = (1.5 * self._normal(neurons)).exp()
        h = scale * (z + self._normal(neurons))
        spikes = self._rand(*h.shape[:2], size.massive) < 0.01
        h[..., kind == 7] += 1e5 * spikes
        h[..., kind == 8] = 0
        return h, gain, (class_gain > 0).any(1, keepdim=True).expand(-1, 2)

    def _common(self, kind: Tensor) -> Tensor:
        """What global, positional and frequency neurons answer to."""
        size = self.size
        z = torch.zeros(size.documents, size.tokens, len(kind))
        any_concept = self.labels.any(-1, keepdim=True).float()
        z[..., kind == 4] = any_concept * (1 + 2 * self._rand(size.global_))
        place = torch.linspace(0, 1, size.tokens)[None, :, None]
        z[..., kind == 5] = (place - 0.5) ** 2 * 8 * self._normal(size.positional) + place * 3
        count = torch.bincount(self.ids[:, 1:].flatten(), minlength=size.words)
        log = (count.float() + 1).log()[self.ids.clamp(max=size.words - 1)][..., None]
        z[..., kind == 6] = (log - log.mean()) * self._normal(size.frequent)
        return z

    def _noise(self, neurons: int) -> Tensor:
        """Student's t with 5 degrees of freedom, and a level per cluster of texts: errors are not independent."""
        size = self.size
        normal = self._normal(size.documents, size.tokens, neurons)
        chi = self._normal(5, size.documents, size.tokens, 1).square().mean(0)
        level = 0.4 * self._normal(int(self.cluster.max()) + 1, neurons)[self.cluster]
        return normal / chi.sqrt() + level[:, None]

    # --- what the attribution asks of a model, its labels and its data ------------------------------------------

    @property
    def shape(self) -> LearnerShape:
        """The learner's shape for this world."""
        concepts = tuple(f"planted.c{index}" for index in range(self.size.concepts))
        vocabulary = self.size.words + self.size.documents
        return LearnerShape(
            concepts, ("reviews.good", "reviews.bad"), ("reviews", "news"), self.size.tokens, vocabulary
        )

    def backbone(self) -> Any:
        """A stand-in for a frozen model that answers with this world's activations."""
        model = _Model(self)
        sites = tuple(
            NeuronSite(f"layers.{k}.mlp", k, "mlp", h.shape[-1], f"layers.{k}") for k, h in enumerate(self.activations)
        )
        print_ = Fingerprint("World", "planted", "0" * 64)
        place = {"device": torch.device("cpu"), "dtype": torch.float32}
        return SimpleNamespace(model=model, sites=sites, fingerprint=print_, **place)

    def labeller(self, order: Tensor | None = None) -> Callable[[Tensor, Tensor], Tensor]:
        """Labels of a batch; with ``order``, document d gets the labels of document ``order[d]``."""
        labels = self.labels if order is None else self.labels[order]
        return lambda ids, mask: labels[ids[:, 0] - self.size.words] & mask.bool()[..., None]

    def batches(self, size: int = 50) -> Iterator[DocumentBatch]:
        """All documents, clusters whole."""
        for rows in torch.arange(self.size.documents).split(size):
            ids = self.ids[rows]
            yield DocumentBatch(
                ids, torch.ones_like(ids), rows, self.dataset[rows], self.classes[rows], self.cluster[rows]
            )


class _Model(nn.Module):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Identity() for _ in world.activations)
        self._world = world

    @property
    def base_model(self) -> nn.Module:
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> None:
        rows = input_ids[:, 0] - self._world.size.words
        for layer, h in zip(self.layers, self._world.activations, strict=True):
            layer(h[rows])


def ranking_precision(
    ranking: Float[Tensor, "neurons concepts"],
    planted: Bool[Tensor, "neurons concepts"],
    columns: Sequence[int] | None = None,
) -> Float[Tensor, " concepts"]:
    """Average precision of each column's ranking of neurons against known carriers.

    Example:
        >>> ranking = torch.tensor([[3.0], [2.0], [1.0]])
        >>> ranking_precision(ranking, torch.tensor([[True], [False], [True]]))  # (1 + 2/3) / 2
        tensor([0.8333])
    """
    kept = list(range(ranking.shape[1])) if columns is None else list(columns)
    metric = ConceptAveragePrecision()
    targets: Int[Tensor, "neurons concepts"] = planted[:, kept].long()
    metric.update(ranking[:, kept], targets)
    value: Float[Tensor, " concepts"] = metric.compute().reshape(-1)  # torchmetrics drops the axis of one concept
    return value
