"""How often concepts occur in documents, and which of them can be fitted: before anything is computed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import torch

from semprune.attribution.fit.design import valid_tokens
from semprune.backbones import Backbone
from semprune.concepts import DEFAULT_CONCEPTS, Concept, TokenLabeller, load_concepts
from semprune.io.distributed import rank, sum_over_ranks
from semprune.types import DocumentBatch

logger = logging.getLogger("semprune.attribution")


def evidence(
    lm: Backbone, concepts: Sequence[Concept], batches: Iterable[DocumentBatch], device: torch.device | str = "cpu"
) -> dict[str, int]:
    """Number of tokens at which each concept occurs, over all ranks' documents.

    Args:
        lm: Whose tokenizer is used; the model is not run.
        concepts: What is counted.
        batches: This rank's share of the documents.
        device: Where ranks add up.
    """
    labeller = TokenLabeller(concepts, lm.tokenizer)
    found = torch.zeros(len(concepts), dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):  # a loader draws a seed, which must not move what is drawn later
        for batch in batches:
            found += labeller(batch.input_ids, batch.attention_mask)[valid_tokens(batch)].double().sum(0)
    found = found.to(device)
    sum_over_ranks(found)
    return dict(zip((concept.name for concept in concepts), map(int, found.tolist()), strict=True))


def optional_concepts(names: Sequence[str]) -> set[str]:
    """Concepts that came with ``default``: without evidence they are left out, one that was named is an error.

    Example:
        >>> "empath.weather" in optional_concepts(["default", "language.time"]), optional_concepts(["language.time"])
        (True, set())
    """
    return set(DEFAULT_CONCEPTS) - set(names) if "default" in names else set()


def fittable_concepts(
    lm: Backbone, names: Sequence[str], batches: Iterable[DocumentBatch], device: torch.device | str = "cpu"
) -> tuple[str, ...]:
    """Names of the concepts to fit: those asked for without the default ones that no document has.

    Args:
        lm: Whose tokenizer is used.
        names: What was asked for.
        batches: This rank's share of the fitting documents; read only where there are default concepts.
        device: Where ranks add up.

    Raises:
        UnknownConceptError: There is no such concept.
    """
    concepts, optional = load_concepts(names), optional_concepts(names)
    asked = tuple(concept.name for concept in concepts)
    if not optional:
        return asked
    found = evidence(lm, concepts, batches, device)
    without = [name for name in asked if name in optional and not found[name]]
    if without and rank() == 0:
        logger.warning("left out, as no fitting document holds their words: %s.", ", ".join(without))
    return tuple(name for name in asked if name not in without)
