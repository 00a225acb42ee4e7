"""Items of the rows that are reserved for fitting: what guides a pruning, and is never evaluated."""

from __future__ import annotations

import logging

from semprune.data.prompts.render import find_prompt, render
from semprune.data.registry import dataset_names, dataset_spec
from semprune.data.rows.examples import Example
from semprune.data.rows.sources import Source
from semprune.data.rows.splits import learned_examples, select
from semprune.errors import SettingError
from semprune.types import Item

logger = logging.getLogger(__name__)


def load_reserved_items(name: str, *, items: int, seed: int = 0, source: Source = "auto") -> list[Item]:
    """Load items of a data set's reserved rows, without those that runs hold out from fitting.

    Args:
        name: Name of the data set.
        items: How many, fewer where there are not so many; a larger number adds items and removes none.
        seed: Which ones.
        source: See :mod:`semprune.data.rows.sources`.

    Returns:
        The items; none where no row is reserved.

    Raises:
        UnknownDatasetError: If there is no such data set.
        DatasetUnavailableError: If its rows cannot be had.
        DatasetSchemaError: If its rows do not hold what they must.
    """
    spec = dataset_spec(name)
    prompt = find_prompt(spec, None)

    def key(example: Example) -> str:
        return f"guidance/{seed}/{name}/{example.example_id}"

    chosen = select(learned_examples(spec, source), items, key)
    return [render(spec, example, prompt) for example in chosen]


def reserved_datasets(family: str) -> tuple[str, ...]:
    """Data sets of a task family that need no hub and reserve rows for fitting.

    Example:
        >>> reserved_datasets("topic")
        ('bbc_news', 'sms_spam', 'trec')
    """
    specs = (dataset_spec(name) for name in dataset_names())
    return tuple(
        spec.name
        for spec in specs
        if spec.family == family and spec.offline is not None and (spec.reserve > 0 or spec.offline.fit_files)
    )


def task_families() -> tuple[str, ...]:
    """Task families of all data sets, sorted."""
    return tuple(sorted({dataset_spec(name).family for name in dataset_names()}))


def load_family_items(family: str, *, items: int, seed: int = 0, source: Source = "auto") -> list[Item]:
    """Load reserved items of a task family, from its data sets in equal shares; see :func:`load_reserved_items`.

    Raises:
        SettingError: If none of its data sets reserves rows without a hub.
    """
    names = reserved_datasets(family)
    if not names:
        raise SettingError(
            "protect", family, "a family with rows that are reserved for fitting, or one of its data sets"
        )
    found: list[Item] = []
    for place, name in enumerate(names):
        wanted = (items - len(found)) // (len(names) - place)
        found += load_reserved_items(name, items=wanted, seed=seed, source=source)
    logger.info("family '%s' is protected by items of %s", family, ", ".join(names))
    return found
