"""The page of data sets, from the registry alone: ``python docs/hooks/datasets.py > docs/datasets.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from semprune.data.registry import DatasetSpec, dataset_names, dataset_spec

FAMILIES = ("sentiment", "similarity", "reasoning", "topic")
HEAD = """# Data sets

Made by `python docs/hooks/datasets.py > docs/datasets.md` from the YAML files in
`src/semprune/data/registry/datasets/`; a test keeps it current. The choice of data sets is ours: the paper's list of 24
is not public. Texts are fetched when they are first used, from a package whose sha256 is pinned or from the hub, and
are not part of this project; each licence is that of the texts' owners.

- **evaluated** and **reserved** count examples after the rules of the data set: rows dropped with a reason, labels too
  close to call, texts that are there twice. Reserved examples (fitting, calibration, few-shot) are never evaluated.
  Sides are drawn by a hash of the document's identifier: no seed or limit moves a document, sentences of one review or
  article stay together, and texts that another data set evaluates are never fitted on. *hub* means that all rows here
  are evaluated and fitting reads the hub's training split. Counts of sets that are only on the hub are the published
  ones.
- **metrics**: the first is the headline. Every value comes with n and a 95 % interval over documents.
- **prompts**: `harness` is the wording of lm-evaluation-harness, string-equal with its own (a test compares every row).
  The first prompt is the default; `prompt: all` scores every one.
- **source**: offline package, hub, or both; the package is read where there is one.
- Shown examples (`shots`) are reserved ones; where a source has none, a tenth of the documents is set aside, and only
  runs that show examples leave it out.
"""
FOOT = """
¹ not for commercial use: fetched after `semprune assets get NAME --accept-non-commercial`, or from the hub.
"""


def dataset_page() -> str:
    """Return the page in Markdown: one table per family, sets with an offline package first.

    Example:
        >>> dataset_page().count("| sst2 |")
        1
    """
    specs = [dataset_spec(name) for name in dataset_names()]
    tables = (f"\n## {family.capitalize()}\n\n{_table(s for s in specs if s.family == family)}" for family in FAMILIES)
    return HEAD + "".join(tables) + FOOT


def _table(specs: Iterable[DatasetSpec]) -> str:
    rows = [_row(spec) for spec in sorted(specs, key=lambda spec: (spec.offline is None, spec.name))]
    titles = ("name", "evaluated", "reserved", "metrics", "prompts", "licence", "source")
    lines = [titles, ("---", "--:", "--:", *["---"] * 4), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(spec: DatasetSpec) -> tuple[str, ...]:
    return (
        spec.name,
        f"{spec.counts.evaluated:,}" if spec.counts else "?",
        _reserved(spec),
        ", ".join(spec.metrics),
        ", ".join(prompt.name for prompt in spec.prompts),
        spec.licence + (" ¹" if spec.non_commercial else ""),
        ", ".join(_sources(spec)),
    )


def _reserved(spec: DatasetSpec) -> str:
    if spec.counts is not None and spec.counts.reserved:
        return f"{spec.counts.reserved:,}"
    return "hub" if spec.hub is not None and spec.hub.fit_split is not None else "none"


def _sources(spec: DatasetSpec) -> Iterable[str]:
    if spec.offline is not None:
        yield f"package `{spec.offline.asset}`"
    if spec.hub is not None:
        config = f" ({spec.hub.config})" if spec.hub.config else ""
        yield f"hub `{spec.hub.path}`{config}"


if __name__ == "__main__":
    sys.stdout.write(dataset_page())
