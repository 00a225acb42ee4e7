"""From a model and names of data sets to a results table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from semprune.backbones import Backbone
from semprune.data.batching import encode_item, scoring_batch
from semprune.data.encoding import Truncate, padding_token
from semprune.data.load import load_items
from semprune.data.registry import dataset_spec
from semprune.data.sampling import within_budget
from semprune.evaluation.results import summarise
from semprune.evaluation.scorer import Scorer
from semprune.types import Item


def evaluate(
    lm: Backbone,
    datasets: Sequence[str],
    *,
    limit: int | None = 200,
    seed: int = 0,
    token_budget: int = 4096,
    truncate: Truncate = "error",
) -> pd.DataFrame:
    """Score a model on data sets, as it is in memory.

    Args:
        lm: The backbone; wrap any other model with :func:`semprune.backbones.describe`.
        datasets: Names of data sets.
        limit: Items of each data set; None for all.
        seed: Which items a limit selects, and the bootstrap.
        token_budget: Most rows × longest row of one forward.
        truncate: ``left`` drops the beginning of prompts that do not fit; ``error`` refuses them.

    Returns:
        One row per data set and metric: ``backbone``, then
        :data:`semprune.evaluation.results.MEASUREMENT_COLUMNS`.

    Raises:
        UnknownDatasetError: If a data set is not in the registry.
        DatasetUnavailableError: If its rows cannot be had.
        PromptTooLongError: If a prompt does not fit and ``truncate`` is ``error``.
        NonFiniteError: If the model gives NaN or infinite log-probabilities.
    """
    specs = {name: dataset_spec(name) for name in datasets}
    items = [item for name in specs for item in load_items(name, limit=limit, seed=seed)]
    predictions = predict_items(lm, items, token_budget=token_budget, truncate=truncate)
    table = summarise(
        predictions,
        families={name: spec.family for name, spec in specs.items()},
        metrics={name: spec.metrics for name, spec in specs.items()},
        seed=seed,
    )
    table.insert(0, "backbone", lm.name)
    return table


def predict_items(
    lm: Backbone,
    items: Sequence[Item],
    *,
    token_budget: int = 4096,
    truncate: Truncate = "error",
    console: Console | None = None,
) -> pd.DataFrame:
    """Score items, with a progress bar where someone looks.

    Args:
        lm: The backbone.
        items: Items of any data sets.
        token_budget: Most rows × longest row of one forward.
        truncate: See :func:`evaluate`.
        console: Where progress goes; None takes standard error. It stays silent where that is no terminal.

    Returns:
        The table of :meth:`Scorer.predictions`.
    """
    encoded = [encode_item(lm.tokenizer, item, lm.max_length, truncate=truncate) for item in items]
    batches = within_budget([len(item.rows) for item in encoded], [item.longest for item in encoded], token_budget)(0)
    padding = padding_token(lm.tokenizer)
    scorer = Scorer()
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("items scored", total=len(items))
        for batch in batches:
            scorer.update(lm.model, scoring_batch([encoded[index] for index in batch], padding))
            progress.advance(task, len(batch))
    return scorer.predictions()
