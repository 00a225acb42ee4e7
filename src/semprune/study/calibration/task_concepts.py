"""``task_concepts.parquet``: a data set's own concepts, whose losses its drops are held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from semprune.data import dataset_spec
from semprune.study.calibration.table import describe, first_requests
from semprune.study.cell.shared import SharedInputs
from semprune.study.store.addresses import Addresses

COLUMNS = ["dataset", "concept", "level", "weight", "source"]


def task_concepts(shared: SharedInputs, addresses: Addresses) -> pd.DataFrame:
    """Each data set's own concepts, with weights that sum to 1.

    Where the association knows what the labels of a data set's family mean, these concepts alone, each alike: token
    concepts named after the family (``sentiment.negative``) and the classes of fitted data sets of the family. Else the
    token concepts that the data set's texts show, by how many tokens carry each.

    Returns:
        Columns dataset, concept, level, weight, source (``labels`` or ``texts``).
    """
    rows = []
    for dataset in shared.config.datasets:
        family = dataset_spec(dataset).family
        weights, source = label_concepts(family, shared.association.concepts, shared.config.fit.datasets), "labels"
        if not weights:
            source = "texts"
            shown = describe(shared, addresses, first_requests(shared, dataset)).concepts.tolist()
            names = [concept.name for concept in shared.module.labeller.concepts]
            weights = {name: float(count) for name, count in zip(names, shown, strict=True) if count}
        rows += list(_rows(dataset, weights, dict(_levels(shared)), source))
    return pd.DataFrame(rows, columns=COLUMNS)


def label_concepts(family: str, concepts: Sequence[str], fitted: Sequence[str]) -> dict[str, float]:
    """The concepts that a family's labels stand for, each with weight 1; empty where the association has none.

    Example:
        >>> label_concepts("sentiment", ["sentiment.negative", "language.time", "sst2.positive"], ["sst2", "trec"])
        {'sentiment.negative': 1.0, 'sst2.positive': 1.0}
    """
    prefixes = {family, *(name for name in fitted if dataset_spec(name).family == family)}
    return {concept: 1.0 for concept in concepts if concept.rpartition(".")[0] in prefixes}


def _levels(shared: SharedInputs) -> Iterator[tuple[str, str]]:
    return zip(shared.association.concepts, shared.association.levels, strict=True)


def _rows(dataset: str, weights: dict[str, float], levels: dict[str, str], source: str) -> Iterator[tuple[object, ...]]:
    whole = sum(weights.values())
    for concept, weight in weights.items():
        yield dataset, concept, levels[concept], weight / whole, source
