"""Fidelity on text of two models: paired by sequence where both runs read the same text with the same tokenizer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float

from semprune.report.comparison.figures import Row, over_wordings, unpaired
from semprune.report.comparison.pairs import Pair
from semprune.report.run.labels import Setting
from semprune.report.run.load_run import RunArtefacts
from semprune.statistics.intervals import mean_test

MEASURES_OF_TEXT = {"kl": "kl", "same_top": "same_top", "log_perplexity": "nll"}
"""Measures, and the column of each sequence that their difference is of."""
_FAMILY = "language_modelling"

Model = tuple[RunArtefacts, Setting]


def text_rows(pair: Pair, first: RunArtefacts, second: RunArtefacts) -> Iterator[Row]:
    """How far both models are from their dense ones on text, and the second minus the first.

    Args:
        pair: The models.
        first: Run of the first.
        second: Run of the second.
    """
    models = (first, pair.first), (second, pair.second)
    if first.fidelity is None or second.fidelity is None:
        return
    for measure, column in MEASURES_OF_TEXT.items():
        for dataset in dict.fromkeys(first.fidelity.loc[first.fidelity["measure"] == measure, "dataset"]):
            rows = [_of(run, each, str(dataset), measure) for run, each in models]
            if not all(len(own) for own in rows):
                continue
            ends = [over_wordings(own, "value") for own in rows]
            change = _sequences(models, str(dataset), column) if same_text(first, second) else None
            if change is None:
                yield unpaired(pair.label, "fidelity", _FAMILY, str(dataset), measure, ends)
                continue
            interval, _ = mean_test(change, [str(place) for place in range(len(change))])
            difference = float(change.mean()), *interval
            yield Row(pair.label, "fidelity", _FAMILY, str(dataset), measure, len(change), ends[0], ends[1], difference)


def _of(run: RunArtefacts, setting: Setting, dataset: str, measure: str) -> pd.DataFrame:
    table = run.tables["fidelity"]
    return table[
        (table["setting"] == setting.label)
        & (table["dataset"] == dataset)
        & (table["measure"] == measure)
        & (table["family"] == _FAMILY)
    ]


def _sequences(models: tuple[Model, Model], dataset: str, column: str) -> Float[np.ndarray, " sequences"] | None:
    """Each sequence's difference; None where a run does not have them."""
    values = []
    for run, setting in models:
        table = run.text_fidelity
        if table is None:
            return None
        own = table[(table["setting"] == setting.label) & (table["dataset"] == dataset)]
        values.append(own.sort_values("sequence")[column].to_numpy())
    if len(values[0]) != len(values[1]) or len(values[0]) < 2:
        return None
    change: Float[np.ndarray, " sequences"] = values[1] - values[0]
    return change


def same_text(first: RunArtefacts, second: RunArtefacts) -> bool:
    """Whether both runs say that they read the same text, with one and the same model."""
    texts = [((run.provenance or {}).get("settings") or {}).get("text") for run in (first, second)]
    models = [set(run.results["backbone"]) for run in (first, second)]
    return texts[0] is not None and texts[0] == texts[1] and models[0] == models[1]
