"""Concepts from words: grouped by the frozen model's own embeddings, named by their strongest word, kept as files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from jaxtyping import Float, Int
from torch import Tensor

from semprune.concepts.concept import Concept
from semprune.concepts.tokens.surfaces import Tokenizer
from semprune.errors import ConceptWithoutEvidenceError, SettingError, VocabularySchemaError
from semprune.io.files import atomic


def embed_words(
    words: Sequence[str], tokenizer: Tokenizer, embeddings: Float[Tensor, "vocabulary hidden"]
) -> Float[Tensor, "words hidden"]:
    """Mean of the model's input embeddings over the tokens of each word, as it stands behind a space."""
    encoded = tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
    return torch.stack([embeddings[torch.tensor(ids)].float().mean(0) for ids in encoded])


def cluster_directions(
    vectors: Float[Tensor, "words hidden"], clusters: int, *, iterations: int = 50
) -> Int[Tensor, " words"]:
    """Spherical k-means of centred vectors; the same result on every call.

    Starts from the vector farthest from the mean, then each time from the one least like those chosen. Source: Dhillon
    and Modha (2001); the start is ours.

    Args:
        vectors: One row per word.
        clusters: Number of clusters.
        iterations: Most rounds.

    Returns:
        Cluster of each word, numbered in the order of the first word of each.

    Raises:
        SettingError: ``clusters`` is not between 1 and the number of words.

    Example:
        >>> cluster_directions(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9]]), 2).tolist()
        [0, 1, 0, 1]
    """
    if not 1 <= clusters <= len(vectors):
        raise SettingError("clusters", clusters, f"between 1 and the number of words, {len(vectors)}")
    centred = vectors.double() - vectors.double().mean(0)
    direction = centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-12)
    chosen = [int(centred.norm(dim=1).argmax())]
    while len(chosen) < clusters:
        nearest = (direction @ direction[chosen].T).amax(1)
        nearest[chosen] = torch.inf
        chosen.append(int(nearest.argmin()))
    centres = direction[chosen]
    own = torch.full((len(vectors),), -1)
    for _ in range(iterations):
        now = (direction @ centres.T).argmax(1)
        if torch.equal(now, own):
            break
        own = now
        sums = torch.zeros_like(centres).index_add_(0, own, direction)
        empty = torch.bincount(own, minlength=clusters) == 0
        centres = torch.where(empty[:, None], centres, sums / sums.norm(dim=1, keepdim=True).clamp(min=1e-12))
    order = list(dict.fromkeys(own.tolist()))
    return torch.tensor([order.index(value) for value in own.tolist()])


def influential_concepts(
    words: Sequence[tuple[str, float]],
    label: str,
    vectors: Float[Tensor, "words hidden"],
    clusters: int,
    *,
    minimum_words: int = 3,
) -> tuple[Concept, ...]:
    """Concepts from influential words: one per cluster, named after the class and the cluster's strongest word.

    Args:
        words: Words with their z, strongest first, as :func:`influential_words` gives them.
        label: The class.
        vectors: Their embeddings.
        clusters: Number of clusters.
        minimum_words: Clusters with fewer words are left out: they would be words, not concepts.

    Raises:
        ConceptWithoutEvidenceError: No cluster has enough words.
    """
    cluster = cluster_directions(vectors, clusters).tolist()
    groups = [
        [word for (word, _), own in zip(words, cluster, strict=True) if own == k] for k in range(max(cluster) + 1)
    ]
    slug = re.sub(r"[^a-z]+", "_", label.lower()).strip("_")
    kept = [group for group in groups if len(group) >= minimum_words]
    if not kept:
        raise ConceptWithoutEvidenceError([f"influential.{slug}"], len(words))
    return tuple(Concept(f"influential.{slug}_{group[0].replace(chr(39), '_')}", tuple(group)) for group in kept)


def write_concepts(
    concepts: Sequence[Concept], folder: Path, *, source: str, licence: str, about: str = "Influential words"
) -> list[Path]:
    """Write each concept as a YAML file that :func:`semprune.concepts.load_concepts` takes by its path.

    Args:
        concepts: The concepts.
        folder: Where to write; made if need be.
        source: Where the words come from: the data set, and how they were picked.
        licence: Of the texts that the words are from.
        about: What the words are.

    Raises:
        VocabularySchemaError: Two of them have one name; nothing is written.
    """
    names = [concept.name for concept in concepts]
    if twice := [name for name in names if names.count(name) > 1]:
        raise VocabularySchemaError(twice[0], "two groups of words are called so", "Ask for fewer groups or classes.")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for concept in concepts:
        content = {"name": concept.name, "about": f"{about}: {', '.join(concept.words[:3])}."}
        content |= {"source": source, "licence": licence}
        text = yaml.safe_dump(content | {"words": list(concept.words)}, sort_keys=False, allow_unicode=True)
        paths.append(folder / f"{concept.name}.yaml")
        with atomic(paths[-1]) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths
