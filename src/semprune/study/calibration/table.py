"""``calibration.parquet``: every calibration set's size, hash, diversity, and likeness to every data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from torch import Tensor

from semprune.artefacts import DRAW, Cell
from semprune.backbones.sentence_encoder import embed_texts
from semprune.data.batches.batching import pad
from semprune.data.batches.encoding import padding_token
from semprune.errors import CorruptArtefactError
from semprune.io.tensor_files import read_sealed, write_sealed
from semprune.pruning import dense_statistics
from semprune.study.calibration import measures
from semprune.study.cell.shared import SharedInputs
from semprune.study.config.grid import pruned_cells
from semprune.study.store.addresses import Addresses, content_hash

ITEMS = 60
"""Items of a data set that stand for it (ours: a profile of norms hardly changes with more)."""


@dataclass(frozen=True)
class Description:
    """What is measured of some token sequences once.

    Attributes:
        tokens: The sequences.
        embeddings: MiniLM embedding of each; empty where no encoder is asked for.
        concepts: Tokens that carry each token-level concept.
        norms: Root mean square of each matrix's input features in the dense model.
        directions: Mean over matrices of the participation ratio of their inputs, over their width.
    """

    tokens: list[list[int]]
    embeddings: Tensor
    concepts: Tensor
    norms: dict[str, Tensor]
    directions: float


def calibration_table(shared: SharedInputs, addresses: Addresses) -> pd.DataFrame:
    """Diversity of each of a study's calibration sets, and its likeness to each data set.

    Args:
        shared: Model, dense, and data.
        addresses: Where descriptions are kept.

    Returns:
        One row per calibration, size, seed and measure; ``dataset`` is empty for diversity. Measures of diversity:
        ``minilm_dispersion``, ``vocabulary_coverage``, ``distinct_2``, ``distinct_3``, ``concept_coverage``,
        ``activation_coverage``. Of likeness: ``minilm_cosine``, ``concept_divergence`` (Jensen-Shannon: small is
        alike), ``input_norm_correlation``, ``bigram_coverage``. MiniLM's are left out without a ``sentence_encoder``.
    """
    described = {name: describe(shared, addresses, first_requests(shared, name)) for name in shared.config.datasets}
    rows: list[dict[str, Any]] = []
    draws = {cell.draw: cell for cell in pruned_cells(shared.config) if cell.calibration}
    for cell in draws.values():
        module = shared.data.calibration(cell.draw)
        own = describe(shared, addresses, module.calibration_input_ids().tolist())
        keys = {"backbone": str(shared.lm.fingerprint)} | _draw(cell) | {"token_hash": module.token_hash}
        rows += [keys | {"dataset": "", "measure": name, "value": value} for name, value in _diversity(shared, own)]
        for dataset, other in described.items():
            rows += [keys | {"dataset": dataset, "measure": m, "value": value} for m, value in likeness(own, other)]
    return pd.DataFrame(rows)


def _diversity(shared: SharedInputs, own: Description) -> Iterator[tuple[str, float]]:
    if len(own.embeddings):
        yield "minilm_dispersion", measures.dispersion(own.embeddings)
    yield "vocabulary_coverage", measures.vocabulary_coverage(own.tokens, len(shared.lm.tokenizer))
    yield "distinct_2", measures.distinct_ngrams(own.tokens, 2)
    yield "distinct_3", measures.distinct_ngrams(own.tokens, 3)
    yield "concept_coverage", measures.concept_coverage(own.concepts)
    yield "activation_coverage", own.directions


def _draw(cell: Cell) -> dict[str, Any]:
    return {name: value for name, value in cell.columns.items() if name in DRAW}


def likeness(own: Description, other: Description) -> Iterator[tuple[str, float]]:
    """How much calibration sequences are like a data set's items, by name of the measure."""
    if len(own.embeddings):
        yield "minilm_cosine", measures.mean_cosine(own.embeddings, other.embeddings)
    yield "concept_divergence", measures.jensen_shannon(own.concepts, other.concepts)
    yield "input_norm_correlation", measures.profile_correlation(own.norms, other.norms)
    yield "bigram_coverage", measures.ngram_coverage(own.tokens, other.tokens, 2)


def first_requests(shared: SharedInputs, dataset: str) -> list[list[int]]:
    """The first request of a data set's items."""
    return [list(item.requests[0].input_ids) for item in shared.data.datasets[dataset][:ITEMS]]


def describe(shared: SharedInputs, addresses: Addresses, tokens: list[list[int]]) -> Description:
    """Describe sequences, or read what was said of them before.

    Raises:
        SempruneError: As :func:`semprune.pruning.dense_statistics` raises.
        CorruptArtefactError: What was said is not what was written.
    """
    encoder = shared.config.sentence_encoder
    names = [concept.name for concept in shared.module.labeller.concepts]
    path = addresses.store / "texts" / f"{content_hash([*addresses.backbone, tokens, encoder, names])}.safetensors"
    if not path.is_file():
        write_sealed(path, _measured(shared, tokens, encoder))
    return _read(path, tokens)


def _measured(shared: SharedInputs, tokens: list[list[int]], encoder: str | None) -> dict[str, Tensor]:
    lm = shared.lm
    ids, mask = pad(tokens, padding_token(lm.tokenizer))
    ids, mask = ids.to(lm.device), mask.to(lm.device)
    collected = dense_statistics(lm.model, ids, needs="second_moments", attention_mask=mask)
    found, ratios = {}, {}
    for name, stats in collected.layers.items():
        found[f"norms.{name}"] = (stats.sum_squares / stats.tokens).sqrt().cpu()
        moments = stats.second_moments
        assert moments is not None  # asked for
        if id(moments) not in ratios:  # matrices that read one tensor share it
            ratios[id(moments)] = measures.participation_ratio(moments) / len(moments)
    found["directions"] = torch.tensor(sum(ratios.values()) / len(ratios), dtype=torch.float64)
    found["concepts"] = shared.module.labeller(ids, mask).sum((0, 1)).cpu()
    if encoder is not None:
        found["embeddings"] = embed_texts(lm.tokenizer.batch_decode(tokens), encoder)
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _read(path: Path, tokens: list[list[int]]) -> Description:
    try:
        _, stored = read_sealed(path)
    except (OSError, SafetensorError, ValueError) as error:
        remedy = "Delete it and run the same command again: it is then measured anew."
        raise CorruptArtefactError(path, str(error), remedy) from error
    norms = {name.removeprefix("norms."): tensor for name, tensor in stored.items() if name.startswith("norms.")}
    embeddings = stored.get("embeddings", torch.zeros(0, 1))
    return Description(tokens, embeddings, stored["concepts"], norms, float(stored["directions"]))
