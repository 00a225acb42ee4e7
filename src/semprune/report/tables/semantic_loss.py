"""Semantic loss by concept, as the page, the summary and the files name it."""

from __future__ import annotations

import pandas as pd

from semprune.report.run.artefacts import RunArtefacts

EXCESS = ("xsl", "xsl_low", "xsl_high")
"""Columns of the excess semantic loss with its interval."""


def concept_labels(frame: pd.DataFrame) -> list[str]:
    """Name of each row's concept, with its level where a concept is held at both token and sequence level."""
    levels = frame.groupby("concept")["level"].transform("nunique")
    triples = zip(frame["concept"], frame["level"], levels, strict=True)
    return [f"{concept} ({level})" if count > 1 else str(concept) for concept, level, count in triples]


def overall_loss(run: RunArtefacts) -> pd.DataFrame:
    """Semantic loss over all layers per pruned setting, with a ``label`` per concept; empty without the artefact."""
    if run.semantic_loss is None:
        return pd.DataFrame(columns=["label", "setting", *EXCESS])
    loss = run.semantic_loss
    loss = loss[(loss["layer"] == -1) & (loss["method"] != "dense")]
    return loss.assign(label=concept_labels(loss)).reset_index(drop=True)
