"""Tables of the controls of causal gates: what each set takes, and whether different sets take as much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from semprune.attribution.controls.closed_gates import ClassReader, Reading
from semprune.attribution.controls.gate_controls import LEARNED, ControlSet
from semprune.attribution.controls.gate_items import answers_of
from semprune.statistics.estimate import Estimate, jackknifed, of_draws
from semprune.types import Item


def gate_control_table(
    concept: str, sets: Sequence[ControlSet], reader: ClassReader, fitted: Sequence[Item], items: Sequence[Item]
) -> pd.DataFrame:
    """What each control takes from held-out items, asked in answers that were fitted on and in others.

    Args:
        concept: Name of the class.
        sets: Of :func:`control_sets`.
        reader: That read them.
        fitted: Items that gates were learned from.
        items: Held-out items, as the reader has them.

    Returns:
        One row per control, data set and ``answers`` (``fitted`` or ``other``): AUROC of the dense model, AUROC lost
        with its 95 % interval over documents and seeds, divergence on other text in nats per token, and ``refused``,
        the share of seeds for which a fit would have refused to learn.
    """
    known = answers_of(fitted)
    asked = {(i.dataset, i.prompt): tuple(answer for _, answer in i.requests) in known for i in items}
    keys = zip(reader.table["dataset"], reader.table["prompt"], strict=True)
    as_fitted = np.array([asked[key] for key in keys])
    rows = []
    for control in dict.fromkeys(each.control for each in sets):
        own = [each for each in sets if each.control == control]
        for dataset in dict.fromkeys(reader.table["dataset"]):
            for answers, chosen in (("fitted", as_fitted), ("other", ~as_fitted)):
                mine = chosen & (reader.table["dataset"] == dataset).to_numpy()
                if not mine.any():
                    continue
                lost = auroc_lost(reader, [each.reading for each in own], mine)
                low, high = lost.interval
                rows.append({
                    "concept": concept, "control": control, "dataset": dataset, "answers": answers,
                    "k": len(own[0].rows), "seeds": len(own), "n": int(mine.sum()),
                    "dense": float(reader.auroc(reader.dense.odds, mine)(np.ones((1, int(mine.sum()))))[0]),
                    "lost": lost.value, "lost_low": low, "lost_high": high,
                    "kl": float(np.mean([each.reading.divergence for each in own])),
                    "refused": float(np.mean([each.refused for each in own])),
                })  # fmt: skip
    return pd.DataFrame(rows)


def auroc_lost(reader: ClassReader, readings: Sequence[Reading], chosen: Bool[np.ndarray, " items"]) -> Estimate:
    """AUROC that the dense model has and closed gates leave not, mean over their seeds."""
    dense = reader.auroc(reader.dense.odds, chosen)
    closed = [reader.auroc(reading.odds, chosen) for reading in readings]

    def lost(weights: Float[np.ndarray, "resamples items"]) -> Float[np.ndarray, " resamples"]:
        out: np.ndarray = dense(weights) - np.mean([each(weights) for each in closed], axis=0)
        return out

    found, once = jackknifed(lost, reader.documents(chosen)), np.ones((1, int(chosen.sum())))
    return found.wider(*of_draws([float(each(once)[0]) for each in closed])) if len(closed) > 1 else found


def gate_overlap(concept: str, sets: Sequence[ControlSet], reader: ClassReader, neurons: int) -> pd.DataFrame:
    """Whether seeds find the same neurons, and whether different ones do as well.

    Returns:
        One row per pair of seeds: ``shared`` (of each set), ``chance``, what each takes of the AUROC of all held-out
        items, and the difference with its 95 % interval, paired by document.
    """
    learned, rows = [each for each in sets if each.control == LEARNED], []
    every = np.ones(len(reader.table), dtype=bool)
    for one, other in ((a, b) for place, a in enumerate(learned) for b in learned[place + 1 :]):
        kept = [reader.auroc(each.reading.odds, every) for each in (one, other)]
        more = jackknifed(lambda weights, kept=kept: kept[1](weights) - kept[0](weights), reader.documents(every))  # type: ignore[misc]  # bound per pair
        low, high = more.interval
        k = len(one.rows)
        rows.append({
            "concept": concept, "first": one.seed, "second": other.seed, "k": k,
            "shared": len(set(one.rows.tolist()) & set(other.rows.tolist())) / k, "chance": k / neurons,
            "lost_first": auroc_lost(reader, [one.reading], every).value,
            "lost_second": auroc_lost(reader, [other.reading], every).value,
            "more": more.value, "more_low": low, "more_high": high,
        })  # fmt: skip
    return pd.DataFrame(rows)
