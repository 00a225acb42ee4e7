"""What the dense model can do at all, and in which wording it does it best: on items that are never evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from semprune.data.load import load_screening_items
from semprune.data.prompts.render import ALL_PROMPTS
from semprune.data.registry import dataset_spec
from semprune.data.settings import ChatSettings
from semprune.data.subject import subject_of
from semprune.evaluation.evaluate import predict_items
from semprune.evaluation.results.retained import ADMITTED_COLUMNS, admitted_datasets
from semprune.ranges import checked
from semprune.types import Amount, Count, PartOrNone, TokenBudget

CHOSEN_FAMILIES = ("sentiment", "similarity", "topic")
"""Families whose wordings are ours, so that the best may be chosen. Reasoning keeps the field's one wording."""
SCREENING_COLUMNS = (*ADMITTED_COLUMNS, "chosen")
"""Columns of :func:`screening_table`."""


@checked
def screening_table(predictions: pd.DataFrame, *, margin: PartOrNone = 0.1) -> pd.DataFrame:
    """Which data sets the dense model beats guessing on, and the wording of each that it answers best.

    Best is the largest score above guessing, by the data set's skill metric; of equal ones the first. Data sets of
    reasoning keep their first wording.

    Args:
        predictions: The dense model's, of :func:`semprune.data.load_screening_items`.
        margin: See :func:`semprune.evaluation.admitted_datasets`.

    Returns:
        One row per data set and prompt with :data:`SCREENING_COLUMNS`, in the order of the predictions; one prompt of
        each data set is ``chosen``.

    Raises:
        UnknownDatasetError: If a data set is not in the registry.
        SettingError: If the margin is not in [0, 1).

    Example:
        >>> keys = {"dataset": "sst2", "item_id": list("0123"), "document_id": list("0123"), "label": [0, 1, 0, 1],
        ...         "lengths": [[1, 1]] * 4}
        >>> worse = pd.DataFrame(keys | {"prompt": "harness", "scores": [[0, -2], [0, -2], [0, -1], [-1, 0]]})
        >>> right = pd.DataFrame(keys | {"prompt": "review", "scores": [[0, -2], [-2, 0], [0, -1], [-1, 0]]})
        >>> screening_table(pd.concat([worse, right]))[["prompt", "dense", "chosen"]].values.tolist()
        [['harness', 0.625, False], ['review', 1.0, True]]
    """
    specs = {str(name): dataset_spec(str(name)) for name in predictions["dataset"].unique()}
    families = {name: spec.family for name, spec in specs.items()}
    metrics = {name: spec.metrics for name, spec in specs.items()}
    asked = pd.DataFrame(predictions[["dataset", "prompt"]].drop_duplicates())
    table = asked.merge(admitted_datasets(predictions, families=families, metrics=metrics, margin=margin), how="left")
    table = table[list(ADMITTED_COLUMNS)]
    table["chosen"] = False
    for name, rows in table.groupby("dataset", sort=False):
        chooses = families[str(name)] in CHOSEN_FAMILIES
        best = (rows["dense"] - rows["guessing"]).idxmax() if chooses else rows.index[0]
        table.loc[best, "chosen"] = True
    return table


@checked
def screen(
    model: Any,
    datasets: Sequence[str] | str,
    *,
    tokenizer: Any = None,
    items: Count = 100,
    margin: PartOrNone = 0.1,
    prompt: str | None = ALL_PROMPTS,
    shots: Amount = 0,
    chat: bool | ChatSettings = False,
    token_budget: TokenBudget = "auto",
    cache: Path | str | bool = False,
) -> pd.DataFrame:
    """Ask a dense model in every wording, on items that are kept back for it: what it can do, and how to ask it.

    The items are the last of the order in which :func:`semprune.evaluate` takes them, at most a fifth of a data set;
    evaluate with a limit that does not reach them (``load_items(name, screening=100)`` leaves them out whatever the
    limit).

    Args:
        model: See :func:`semprune.evaluate`.
        datasets: Names of data sets, or one name.
        tokenizer: See :func:`semprune.evaluate`.
        items: Items of each data set to keep back.
        margin: See :func:`semprune.evaluation.admitted_datasets`.
        prompt: Which wordings to ask, see :func:`semprune.data.load_items`.
        shots: Answered examples before each item.
        chat: See :func:`semprune.evaluate`.
        token_budget: See :func:`semprune.evaluate`.
        cache: See :func:`semprune.evaluate`.

    Returns:
        The table of :func:`screening_table`, ``backbone`` before it.

    Raises:
        SettingError: If a data set has too few documents to keep any back.
        SempruneError: What :func:`semprune.evaluate` raises.
    """
    subject = subject_of(model, tokenizer)
    asked: dict[str, Any] = {"items": items, "prompt": prompt, "shots": shots, "chat": chat}
    names = [datasets] if isinstance(datasets, str) else datasets
    kept = [item for name in names for item in load_screening_items(name, **asked, tokenizer=subject.tokenizer)]
    table = screening_table(predict_items(subject, kept, token_budget=token_budget, cache=cache), margin=margin)
    table.insert(0, "backbone", subject.name)
    return table
