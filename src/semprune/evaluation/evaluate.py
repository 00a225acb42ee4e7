"""From a model and names of data sets to a results table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from semprune.assets import cache_folder
from semprune.data.batches.encoding import Truncate, padding_token
from semprune.data.batches.scorable import encode_items
from semprune.data.batches.special_tokens import check_tokenizer
from semprune.data.load import load_items
from semprune.data.registry import dataset_spec
from semprune.data.rows.own_tables import with_own_tables
from semprune.data.settings import ChatSettings
from semprune.data.subject import Subject, subject_of
from semprune.evaluation.engine.request_scorer import Engine, Throughput
from semprune.evaluation.predictions.prediction import prediction_table
from semprune.evaluation.predictions.score_cache import ScoreCache
from semprune.evaluation.predictions.score_items import score_items, scoring_progress
from semprune.evaluation.results.summarise import summarise
from semprune.ranges import checked
from semprune.types import Amount, Item, Limit, Seed, TokenBudget

logger = logging.getLogger("semprune.evaluation")


@checked
def evaluate(
    model: Any,
    datasets: Sequence[str] | str,
    *,
    tokenizer: Any = None,
    limit: Limit = 200,
    seed: Seed = 0,
    prompt: str | None = None,
    shots: Amount = 0,
    chat: bool | ChatSettings = False,
    text_column: str | None = None,
    label_column: str | None = None,
    token_budget: TokenBudget = "auto",
    truncate: Truncate = "error",
    cache: Path | str | bool = False,
) -> pd.DataFrame:
    """Score a model on data sets, as it is in memory.

    Args:
        model: A backbone, or any Hugging Face causal LM, pruned or not; it is left as it is.
        datasets: Names of data sets and paths of own tables (.csv, .json, .jsonl, .parquet), or one of them.
        tokenizer: The tokenizer of a bare model; a backbone has its own.
        limit: Items of each data set; None for all.
        seed: Which items a limit selects, and the bootstrap.
        prompt: See :func:`semprune.data.load_items`; ``all`` measures every prompt by itself.
        shots: Answered examples before each item.
        chat: Ask as a chat, with the tokenizer's own template: true, or its options, date and thought; see
            :class:`semprune.data.ChatSettings`.
        text_column: Column of the texts of own tables; None for ``text``.
        label_column: Column of the labels of own tables; None for ``label``.
        token_budget: Most tokens of one forward; ``auto`` is halved whenever memory runs out.
        truncate: ``left`` drops the beginning of prompts that do not fit; ``error`` refuses them.
        cache: A folder where scores are kept, so that the same weights score no item twice; True for ``scores`` in
            the cache folder. See :class:`semprune.evaluation.predictions.score_cache.ScoreCache`.

    Returns:
        One row per data set, prompt and metric: ``backbone``, then
        :data:`semprune.evaluation.results.summarise.MEASUREMENT_COLUMNS`. ``attrs["throughput"]`` says what it cost.

    Raises:
        UnknownDatasetError: If a data set is not in the registry.
        DatasetSchemaError: If a table cannot be used as it is.
        DatasetUnavailableError: If its rows cannot be had.
        ConfigurationError: If a bare model comes without a tokenizer, or ``chat`` without a chat template.
        PromptTooLongError: If a prompt does not fit and ``truncate`` is ``error``.
        TooManyLeftOutError: If more of a data set's items cannot be scored than may be left out.
        NonFiniteError: If the model gives NaN or infinite log-probabilities.
        OutOfMemoryError: If memory runs out and the batches cannot be smaller.
        CorruptArtefactError: If a file of the cache cannot be read.
    """
    subject = subject_of(model, tokenizer)
    names = with_own_tables([datasets] if isinstance(datasets, str) else datasets, text_column, label_column)
    specs = {name: dataset_spec(name) for name in names}
    chosen: dict[str, Any] = {"limit": limit, "seed": seed, "prompt": prompt, "shots": shots}
    chosen |= {"chat": chat, "tokenizer": subject.tokenizer}
    items = [item for name in specs for item in load_items(name, **chosen)]
    predictions = predict_items(subject, items, token_budget=token_budget, truncate=truncate, cache=cache)
    table = summarise(
        predictions,
        families={name: spec.family for name, spec in specs.items()},
        metrics={name: spec.metrics for name, spec in specs.items()},
        left_out=predictions.attrs["left_out"],
        seed=seed,
    )
    table.insert(0, "backbone", subject.name)
    table.attrs["throughput"] = predictions.attrs["throughput"]
    return table


@checked
def predict_items(
    lm: Subject,
    items: Sequence[Item],
    *,
    token_budget: TokenBudget = "auto",
    truncate: Truncate = "error",
    cache: Path | str | bool = False,
    console: Console | None = None,
) -> pd.DataFrame:
    """Score items, with a progress bar where someone looks; throughput goes to the log.

    Args:
        lm: The backbone, or what :func:`semprune.data.subject.subject_of` gives.
        items: Items of any data sets.
        token_budget: See :func:`evaluate`.
        truncate: See :func:`evaluate`.
        cache: See :func:`evaluate`.
        console: Where progress goes; None takes standard error. It stays silent where that is no terminal.

    Returns:
        The table of :func:`semprune.evaluation.predictions.prediction.prediction_table`. Its ``attrs["throughput"]``
        holds the fields of :class:`semprune.evaluation.engine.request_scorer.Throughput`, ``tokens_per_second``, and
        ``cached``, the number of items that were not scored again; ``attrs["left_out"]`` counts by data set and
        prompt the items that cannot be scored, see :func:`semprune.data.batches.scorable.encode_items`.

    Raises:
        TooManyLeftOutError: If more of a data set's items cannot be scored than may be left out.
    """
    kept = _score_cache(cache, lm.model)
    check_tokenizer(lm.tokenizer)
    scorable = encode_items(lm.tokenizer, items, lm.max_length, truncate=truncate)
    engine = Engine(lm.model, padding_token(lm.tokenizer), token_budget)
    table = prediction_table(
        score_items(engine, scorable.items, cache=kept, progress=partial(scoring_progress, console=console))
    )
    table.attrs["left_out"] = scorable.counts
    table.attrs["throughput"] = _report(engine.throughput, kept.found if kept is not None else 0)
    return table


def _score_cache(cache: Path | str | bool, model: Any) -> ScoreCache | None:
    if cache is False:
        return None
    return ScoreCache(cache_folder() / "scores" if cache is True else Path(cache), model)


def _report(cost: Throughput, cached: int) -> dict[str, float]:
    """What scoring cost, as plain values; also one line of the log."""
    logger.info(
        "scored %d requests: %d tokens (%d where nothing is shared) in %.1f s, %.0f tokens/s; %d items were known",
        cost.requests, cost.tokens, cost.read, cost.seconds, cost.tokens_per_second, cached,
    )  # fmt: skip
    return asdict(cost) | {"tokens_per_second": cost.tokens_per_second, "cached": cached}
