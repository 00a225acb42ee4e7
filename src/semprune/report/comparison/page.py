"""Two runs, read, compared, and written as one page without any outside resource."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markupsafe import Markup

from semprune.io.files import atomic
from semprune.io.safe_text import short_name
from semprune.report.comparison.differences import Runs
from semprune.report.comparison.figures import Row
from semprune.report.comparison.pairs import Pair, differing_settings, pair_settings
from semprune.report.comparison.tables import CAPTION, KINDS, kind_table, sentences, settings_table
from semprune.report.page import page_asset, page_environment
from semprune.report.run.load_run import RunArtefacts, load_run

DENSE = "the dense models"


@dataclass(frozen=True)
class Comparison:
    """Two runs beside each other.

    Attributes:
        first: The run that is compared with, A.
        second: The other, B.
        pairs: The models that go together.
    """

    first: RunArtefacts
    second: RunArtefacts
    pairs: tuple[Pair, ...]

    @classmethod
    def read(cls, run_a: Path, run_b: Path, model_a: str | None = None, model_b: str | None = None) -> Comparison:
        """Read two run folders.

        Args:
            run_a: A run folder; its figures are subtracted.
            run_b: Another, or the same.
            model_a: One pruned model of the first by its label; None pairs all that go together.
            model_b: One of the second.

        Raises:
            CorruptArtefactError: An artefact of either cannot be read.
            SettingError: A run has no such model.
            NothingInCommonError: No models of the two go together.
        """
        first, second = load_run(run_a), load_run(run_b)
        return cls(first, second, tuple(pair_settings(first, second, model_a, model_b)))

    @cached_property
    def rows(self) -> dict[str, list[Row]]:
        """Every figure, by the label of the models; of the dense ones only where they differ."""
        runs = Runs(self.first, self.second)
        dense = runs.dense_rows()
        return ({DENSE: dense} if dense else {}) | {pair.label: runs.rows(pair) for pair in self.pairs}

    @cached_property
    def differing(self) -> list[tuple[str, str, str]]:
        """What the runs were told differently."""
        return differing_settings(self.first, self.second)


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write the page, atomically.

    Args:
        comparison: The runs.
        path: Where to.

    Returns:
        The path.
    """
    names = [short_name(str(run.folder.resolve())) for run in (comparison.first, comparison.second)]
    parts = {
        label: [kind_table(rows, kind) for kind in KINDS if any(row.kind == kind for row in rows)]
        for label, rows in comparison.rows.items()
    }
    text = (
        page_environment()
        .get_template("comparison/comparison.html.j2")
        .render(
            title="; ".join(comparison.rows) if names[0] == names[1] else f"{names[1]} against {names[0]}",
            names=names,
            style=Markup(page_asset("style.css")),
            sentences=sentences(comparison.rows),
            settings=settings_table(comparison.differing) if comparison.differing else None,
            told=all(run.provenance is not None for run in (comparison.first, comparison.second)),
            parts=parts,
            caption=CAPTION,
        )
    )
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path
