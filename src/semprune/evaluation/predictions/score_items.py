"""Scores of items: from rendered items to predictions, by the engine or from what is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from semprune.data.batches.batching import EncodedItem
from semprune.data.batches.encoding import EncodedRequest
from semprune.errors import NonFiniteError
from semprune.evaluation.engine.packing import Scored
from semprune.evaluation.engine.request_scorer import Engine
from semprune.evaluation.predictions.prediction import Prediction, predict
from semprune.evaluation.predictions.score_cache import ScoreCache
from semprune.io.terminal import plain_console

Advance = Callable[[int, int, float], None]
"""Takes tokens read since the last call, items complete so far, and tokens computed per second."""
ShowProgress = Callable[[int, int], AbstractContextManager[Advance]]
"""Takes tokens of all requests and number of items, and gives what advances it for a block."""


@contextmanager
def scoring_progress(tokens: int, items: int, console: Console | None = None) -> Iterator[Advance]:
    """Show a bar for the block. It advances by tokens, so that the time left holds although long items come first.

    Args:
        tokens: Tokens of all requests.
        items: Number of items.
        console: Where it goes; None takes standard error. It stays silent where that is no terminal.

    Yields:
        The function that advances it.
    """
    console = console or plain_console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"0/{items} items scored", total=tokens)

        def advance(tokens: int, items_done: int, tokens_per_second: float) -> None:
            text = f"{items_done}/{items} items scored, {tokens_per_second:,.0f} tokens/s"
            bar.update(task, advance=tokens, description=text)

        yield advance


def silent(tokens: int, items: int) -> AbstractContextManager[Advance]:
    """Show nothing for the block."""
    return nullcontext(lambda *counts: None)


def score_items(
    engine: Engine, items: Sequence[EncodedItem], *, cache: ScoreCache | None = None, progress: ShowProgress = silent
) -> list[Prediction]:
    """Score items, each unless the cache has it: the one way from items to predictions.

    Args:
        engine: Scores their requests; it remembers how much fits in memory.
        items: Encoded items of any data sets; there may be none.
        cache: Where scores are looked up and kept; also those of a run that ends early.
        progress: Shows what is done, see :func:`scoring_progress`.

    Returns:
        The predictions in the order of the items.

    Raises:
        NonFiniteError: If the model gives NaN or infinite log-probabilities.
        OutOfMemoryError: If memory runs out and the batches cannot be smaller.
        CorruptArtefactError: If a file of the cache cannot be read.
    """
    pending = _Pending(items, cache)
    lengths = [len(request.input_ids) for request in pending.requests]
    try:
        with progress(sum(lengths), pending.missing) as advance:
            for scored in engine.score(pending.requests):
                done = pending.take(scored)
                advance(sum(lengths[index] for index in scored.requests), done, engine.throughput.tokens_per_second)
    finally:
        if cache is not None:
            cache.save()
    return [predict(item.item, scores) for item, scores in zip(items, pending.complete(), strict=True)]


class _Pending:
    """Items whose scores arrive request by request, in any order."""

    def __init__(self, encoded: Sequence[EncodedItem], cache: ScoreCache | None) -> None:
        self._items = encoded
        self._cache = cache
        self._scores: list[list[float]] = []
        self._left: list[int] = []  # requests of each item that are not scored
        self._place: list[tuple[int, int]] = []  # item and choice of each request
        self.requests: list[EncodedRequest] = []
        for index, item in enumerate(encoded):
            known = cache.get(item.item.dataset, item.item.prompt, item.requests) if cache is not None else None
            self._scores.append(list(known) if known is not None else [math.nan] * len(item.requests))
            self._left.append(0 if known is not None else len(item.requests))
            if known is None:
                self._place.extend((index, choice) for choice in range(len(item.requests)))
                self.requests.extend(item.requests)
        self.missing = sum(map(bool, self._left))
        self._done = 0

    def take(self, scored: Scored) -> int:
        """Keep the scores of a batch; returns how many items are complete."""
        for request, score in zip(scored.requests, scored.sums, strict=True):
            index, choice = self._place[request]
            item = self._items[index]
            if not math.isfinite(score):
                raise NonFiniteError(f"a log-likelihood in '{item.item.dataset}'")
            self._scores[index][choice] = score
            self._left[index] -= 1
            if not self._left[index]:
                self._done += 1
                if self._cache is not None:
                    scores = tuple(self._scores[index])
                    self._cache.put(item.item.dataset, item.item.prompt, item.requests, scores)
        return self._done

    def complete(self) -> list[tuple[float, ...]]:
        """Scores of all items."""
        return [tuple(scores) for scores in self._scores]
