"""What a neuron stands for, and which neurons a concept has: read from an association, without its model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from semprune.attribution.association.association import Association
from semprune.attribution.association.score import DEFAULT_RANKING, GATES

SHOWN_NEURONS = 10
"""Of a concept, the first that are shown."""


Written = Callable[[Sequence[str]], pd.DataFrame]
"""Says which tokens neurons make most and least likely, at least one neuron, by its name."""


def strongest_neurons(
    association: Association, concept: str, written: Written, by: str = DEFAULT_RANKING, most: int = SHOWN_NEURONS
) -> pd.DataFrame:
    """A concept's first neurons by a ranking, and the tokens that each promotes.

    Args:
        association: Which neuron carries which concept.
        concept: Name of a column.
        written: Says what neurons write, as :func:`semprune.attribution.neurons.logit_lens.written_by` does.
        by: The ranking.
        most: Neurons.

    Returns:
        Columns neuron, class, the ranking's name, effect, t, q, specificity, writes; no rows without discoveries. By
        ``gates`` a neuron need not be a discovery.
    """
    columns = list(dict.fromkeys(["neuron", "class", by, "effect", "t", "q", "specificity", "writes"]))
    names = association.top(concept, most, by)
    if not names:
        return pd.DataFrame(columns=columns)
    ranked, classes, rows = association.ranking(concept, by), association.class_names(), []
    promoted = written(names).groupby("neuron")["promoted"]
    column = association.column(concept)
    for name in names:
        row, writes = association.index.row(name), promoted.get_group(name).head(4)
        rows.append({
            "neuron": name, "class": classes[row], by: float(ranked[row]),
            "effect": float(association.matrix[row, column]), "t": float(association.t[row, column]),
            "q": float(association.q[row, column]), "specificity": float(association.specificity[row, column]),
            "writes": " ".join(repr(str(token)) for token in writes),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def facets(association: Association, row: int) -> pd.DataFrame:
    """Every discovery of one neuron, strongest first.

    Returns:
        Columns concept, level, strength, effect, t, q, specificity, score; no rows for a neuron without discoveries.
    """
    specificity, score, rows = association.specificity, association.score, []
    for c in association.gate[row].nonzero()[:, 0].tolist():
        concept = association.concepts[c]
        rows.append({
            "concept": concept, "level": association.levels[c],
            "strength": float(association.ranking(concept, "strength")[row]),
            "effect": float(association.matrix[row, c]), "t": float(association.t[row, c]),
            "q": float(association.q[row, c]),
            "specificity": float(specificity[row, c]), "score": float(score[row, c]),
        })  # fmt: skip
    columns = ["concept", "level", "strength", "effect", "t", "q", "specificity", "score"]
    return pd.DataFrame(rows, columns=columns).sort_values("strength", key=abs, ascending=False, ignore_index=True)


def carried(association: Association, row: int) -> pd.DataFrame:
    """Place of one neuron among the causal gates of each concept whose gates were learned.

    Returns:
        Columns concept, place (1 is the first gate) and gates (how many close in the fit, where that is known); no rows
        without learned gates.
    """
    rows = []
    for concept in association.gated_concepts:
        scores = association.ranking(concept, GATES)
        place = int((scores > scores[row]).sum()) + 1
        rows.append({"concept": concept, "place": place, "gates": closed_gates(association)})
    return pd.DataFrame(rows, columns=["concept", "place", "gates"])


def closed_gates(association: Association) -> int | None:
    """How many gates of a concept close in the fit; None where that is not known."""
    share = association.settings.get("gate_share")
    return None if share is None else max(1, int(share * len(association.rms)))
