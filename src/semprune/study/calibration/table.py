"""``calibration.parquet``: every calibration set's size, hash, diversity, and likeness to every data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor

from semprune.artefacts import DRAW, Cell
from semprune.backbones.sentence_encoder import embed_texts
from semprune.data.batches.encoding import padding_token
from semprune.io.tensor_files import write_safetensors
from semprune.pruning import dense_statistics
from semprune.study.calibration import measures
from semprune.study.cell.bench import Bench
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


def calibration_table(bench: Bench, addresses: Addresses) -> pd.DataFrame:
    """Diversity of each of a study's calibration sets, and its likeness to each data set.

    Args:
        bench: Model, dense, and data.
        addresses: Where descriptions are kept.

    Returns:
        One row per calibration, size, seed and measure; ``dataset`` is empty for diversity. Measures of diversity:
        ``minilm_dispersion``, ``vocabulary_coverage``, ``distinct_2``, ``distinct_3``, ``concept_coverage``,
        ``activation_coverage``. Of likeness: ``minilm_cosine``, ``concept_divergence`` (Jensen-Shannon: small is
        alike), ``input_norm_correlation``, ``bigram_coverage``. MiniLM's are left out without a ``sentence_encoder``.
    """
    described = {name: describe(bench, addresses, first_requests(bench, name)) for name in bench.config.datasets}
    rows: list[dict[str, Any]] = []
    draws = {cell.draw: cell for cell in pruned_cells(bench.config) if cell.calibration}
    for cell in draws.values():
        module = bench.data.calibration(cell.draw)
        own = describe(bench, addresses, module.calibration_input_ids().tolist())
        keys = {"backbone": str(bench.lm.fingerprint)} | _draw(cell) | {"token_hash": module.token_hash}
        rows += [keys | {"dataset": "", "measure": name, "value": value} for name, value in _diversity(bench, own)]
        for dataset, other in described.items():
            rows += [keys | {"dataset": dataset, "measure": m, "value": value} for m, value in likeness(own, other)]
    return pd.DataFrame(rows)


def _diversity(bench: Bench, own: Description) -> Iterator[tuple[str, float]]:
    if len(own.embeddings):
        yield "minilm_dispersion", measures.dispersion(own.embeddings)
    yield "vocabulary_coverage", measures.vocabulary_coverage(own.tokens, len(bench.lm.tokenizer))
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


def first_requests(bench: Bench, dataset: str) -> list[list[int]]:
    """The first request of a data set's items."""
    return [list(item.requests[0].input_ids) for item in bench.data.datasets[dataset][:ITEMS]]


def describe(bench: Bench, addresses: Addresses, tokens: list[list[int]]) -> Description:
    """Describe sequences, or read what was said of them before.

    Raises:
        SempruneError: As :func:`semprune.pruning.dense_statistics` raises.
    """
    encoder = bench.config.sentence_encoder
    names = [concept.name for concept in bench.module.labeller.concepts]
    path = addresses.store / "texts" / f"{content_hash([*addresses.backbone, tokens, encoder, names])}.safetensors"
    if not path.is_file():
        write_safetensors(path, _measured(bench, tokens, encoder), {})
    return _read(path, tokens)


def _measured(bench: Bench, tokens: list[list[int]], encoder: str | None) -> dict[str, Tensor]:
    lm = bench.lm
    ids, mask = _padded(tokens, padding_token(lm.tokenizer))
    ids, mask = ids.to(lm.device), mask.to(lm.device)
    collected = dense_statistics(lm.model, ids, methods=["sparsegpt"], attention_mask=mask)
    found, ratios = {}, {}
    for name, stats in collected.layers.items():
        found[f"norms.{name}"] = (stats.sum_squares / stats.tokens).sqrt().cpu()
        moments = stats.second_moments
        assert moments is not None  # asked for
        if id(moments) not in ratios:  # matrices that read one tensor share it
            ratios[id(moments)] = measures.participation_ratio(moments) / len(moments)
    found["directions"] = torch.tensor(sum(ratios.values()) / len(ratios), dtype=torch.float64)
    found["concepts"] = bench.module.labeller(ids, mask).sum((0, 1)).cpu()
    if encoder is not None:
        found["embeddings"] = embed_texts(lm.tokenizer.batch_decode(tokens), encoder)
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _read(path: Path, tokens: list[list[int]]) -> Description:
    stored = load_file(path)
    norms = {name.removeprefix("norms."): tensor for name, tensor in stored.items() if name.startswith("norms.")}
    embeddings = stored.get("embeddings", torch.zeros(0, 1))
    return Description(tokens, embeddings, stored["concepts"], norms, float(stored["directions"]))


def _padded(rows: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), padding)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for k, row in enumerate(rows):
        ids[k, : len(row)], mask[k, : len(row)] = torch.tensor(row), 1
    return ids, mask
