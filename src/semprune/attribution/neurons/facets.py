"""What a neuron stands for, and which neurons a concept has: read from an association, without its model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from semprune.attribution.association.association import Association
from semprune.attribution.association.score import DEFAULT_RANKING

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
        Columns neuron, class, the ranking's name, effect, t, q, specificity, writes; no rows without discoveries.
    """
    columns = ["neuron", "class", by, "effect", "t", "q", "specificity", "writes"]
    names = association.top(concept, most, by)
    if not names:
        return pd.DataFrame(columns=columns)
    ranked, classes, rows = association.ranking(concept, by), association.class_names(), []
    promoted = written(names).groupby("neuron")["promoted"]
    for name in names:
        row = association.index.row(name)
        own = facets(association, row).set_index("concept").loc[concept]
        writes = promoted.get_group(name).head(4)
        rows.append({
            "neuron": name, "class": classes[row], by: float(ranked[row]), "effect": own["effect"], "t": own["t"],
            "q": own["q"], "specificity": own["specificity"], "writes": " ".join(repr(str(token)) for token in writes),
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
