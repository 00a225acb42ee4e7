"""What the artefacts' names are called in front of a reader: families, methods, pruned settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from semprune.artefacts import DRAW, SETTING, UNSTRUCTURED, records
from semprune.io.safe_text import short_name

FAMILIES = {
    "sentiment": "Sentiment",
    "similarity": "Semantic similarity",
    "reasoning": "Reasoning",
    "topic": "Topic",
    "language_modelling": "Language modelling",
}
_UNRECORDED = {"magnitude": "Magnitude", "wanda": "Wanda", "ria": "RIA", "sparsegpt": "SparseGPT"}
"""Labels of the methods there were before runs recorded them; no method is added here."""
SETTING_COLUMNS = ("backbone", *SETTING)
HUES = 6
SHAPES = 6
_THEN_BY = ("sparsity", "pattern", *DRAW)
_NAMED = {
    "backbone": "{}", "calibration": "{}", "calibration_sequences": "{} sequences", "calibration_length": "{} tokens",
    "seed": "seed {}",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MethodLabels:
    """What a run's pruning methods are called in front of a reader; a method that is not known keeps its name.

    Attributes:
        labels: Label of each method by its name, in the order of every table.
    """

    labels: Mapping[str, str] = field(default_factory=lambda: _UNRECORDED)

    @classmethod
    def recorded(cls, provenance: Mapping[str, Any]) -> MethodLabels:
        """Take them from a run's provenance, which lists them; a run from before that has the shipped ones.

        Raises:
            KeyError, TypeError: The entry is not as a run writes it.

        Example:
            >>> MethodLabels.recorded({"methods": [{"name": "own", "label": "Own"}]}).label("own")
            'Own'
        """
        if "methods" not in provenance:
            return cls()
        return cls({entry["name"]: entry["label"] for entry in provenance["methods"]})

    def label(self, method: str) -> str:
        """Name of a method for readers, with its options.

        Example:
            >>> MethodLabels({"ria": "RIA"}).label("ria:permutation=assignment:exponent=1")
            'RIA (permutation=assignment, exponent=1)'
        """
        base, *options = method.split(":")
        label = self.labels.get(base, base)
        return f"{label} ({', '.join(options)})" if options else label

    def rank(self, method: str) -> tuple[int, str]:
        """Sort key: the labelled methods in their order, then the others by name."""
        known, base = list(self.labels), method.split(":")[0]
        return (known.index(base) if base in known else len(known), method)


def model_names(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Short name of each model of a run by its fingerprint; two of one name are told apart by their weights' hash.

    Args:
        provenance: Of the run; empty for a run without.

    Example:
        >>> model_names({"backbone": {"name": "/home/me/mine", "fingerprint": "Llama@local:0123456789ab"}})
        {'Llama@local:0123456789ab': 'mine'}
    """
    recorded = [provenance.get("backbone"), *provenance.get("backbones", [])]
    short = {each["fingerprint"]: short_name(each["name"]) for each in recorded if isinstance(each, dict)}
    often = Counter(short.values())
    return {mark: f"{name} ({mark.partition(':')[2][:6]})" if often[name] > 1 else name for mark, name in short.items()}


@dataclass(frozen=True, slots=True)
class Setting:
    """One way the model was pruned, as the page names and draws it.

    Attributes:
        label: Shortest name that tells it from the run's other settings, e.g. ``Wanda 50 %``.
        phrase: How a sentence about it starts, e.g. ``At 50 % sparsity Wanda``.
        method: Name of the pruning method.
        shape: Index of its marker.
        hue: Index of its method's colour.
    """

    label: str
    phrase: str
    method: str
    shape: int
    hue: int

    @property
    def unbroken(self) -> str:
        """The label, to be broken over lines only between its parts."""
        return self.label.replace(" ", "\u00a0").replace("\u00a0·\u00a0", " · ")


def family_label(family: str) -> str:
    """Name of a task family for readers; an unknown family keeps its own name."""
    return FAMILIES.get(family, family.replace("_", " ").capitalize())


def family_rank(family: str) -> tuple[int, str]:
    """Sort key: the known families in their usual order, then the others by name."""
    known = list(FAMILIES)
    return (known.index(family) if family in known else len(known), family)


def amount_label(pattern: str, sparsity: float) -> str:
    """How much was pruned.

    Example:
        >>> amount_label("unstructured", 0.5), amount_label("2:4", 0.5)
        ('50 %', '2:4')
    """
    return f"{sparsity * 100:g} %" if pattern in ("", UNSTRUCTURED) else pattern


def varying_columns(results: pd.DataFrame) -> frozenset[str]:
    """Which of backbone, calibration, its sizes and seed a label must name, because the run has several of them."""
    pruned = results[results["method"] != "dense"]
    calibrated = pruned[pruned["calibration"] != ""]
    counts = {"backbone": results["backbone"].nunique(), "seed": pruned["seed"].nunique()}
    counts |= {column: calibrated[column].nunique() for column in DRAW if column != "seed"}
    return frozenset(column for column, count in counts.items() if count > 1)


def setting_labels(
    frame: pd.DataFrame, varying: Iterable[str], methods: MethodLabels, models: Mapping[str, str]
) -> list[str]:
    """Label of each row's setting; ``dense`` for the dense model (with its backbone where that varies)."""
    varying = [column for column in _NAMED if column in set(varying)]
    columns = [column for column in SETTING_COLUMNS if column in frame]
    group = frame.groupby(columns, sort=False, dropna=False).ngroup()  # a label per setting, not per row
    rows = records(frame.loc[~group.duplicated(), columns].replace({"backbone": dict(models)}))
    labels = [_label(row, varying, methods) for row in rows]
    return [labels[place] for place in group]


def _label(row: dict[str, Any], varying: list[str], methods: MethodLabels) -> str:
    method: str = row["method"]
    parts = ["dense" if method == "dense" else methods.label(method)]
    if method != "dense":
        parts[0] += f" {amount_label(row['pattern'], row['sparsity'])}"
    drawn = row.get("calibration", "") != ""
    for column in varying:
        if row.get(column, "") == "" or (column.startswith("calibration_") and not drawn):
            continue
        if method != "dense" or column == "backbone":
            parts.append(_NAMED[column].format(row[column]))
    return " · ".join(parts)


def settings_of(results: pd.DataFrame, labels: MethodLabels) -> tuple[Setting, ...]:
    """The run's pruned settings: known methods first, then by sparsity, pattern, calibration set and seed."""
    pruned = results[results["method"] != "dense"]
    rows = records(pruned[["setting", *SETTING_COLUMNS]].drop_duplicates("setting"))
    rows.sort(key=lambda row: (row["backbone"], labels.rank(row["method"]), *(row[name] for name in _THEN_BY)))
    methods = [row["method"] for row in rows]
    hues = {method: hue % HUES for hue, method in enumerate(dict.fromkeys(methods))}
    return tuple(
        Setting(row["setting"], _phrase(row, labels), method, shape % SHAPES, hues[method])
        for shape, (method, row) in enumerate(zip(methods, rows, strict=True))
    )


def _phrase(row: dict[str, Any], labels: MethodLabels) -> str:
    amount = amount_label(row["pattern"], row["sparsity"])
    how = f"At {amount} sparsity" if amount.endswith("%") else f"With the {amount} pattern"
    extras = row["setting"].split(" · ")[1:]
    method = "magnitude pruning" if row["method"] == "magnitude" else labels.label(row["method"])
    return f"{how} {method}" + (f" ({', '.join(extras)})" if extras else "")
