"""Every table of the documentation that a command makes of published measurements is that command's."""

from pathlib import Path

import pytest

from benchmarks import (
    datasets_page,
    gates_concepts_page,
    gates_mediation_page,
    gates_page,
    protect_page,
    protecting_gradients_page,
    protecting_words_page,
)
from semprune.report import load_run

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "datasets": ("results.md", lambda folder: datasets_page.page(load_run(folder))),
    "gates": ("results.md", gates_page.page),
    "gates-concepts": ("results.md", gates_concepts_page.page),
    "gates-mediation": ("results.md", gates_mediation_page.page),
    "protect": ("how-to/protect.md", lambda folder: protect_page.page(load_run(folder))),
    "protect-gradients": ("how-to/protect.md", protecting_gradients_page.page),
    "protect-words": ("how-to/protect.md", protecting_words_page.page),
}
"""Of each kind of study: the page, and what makes its tables."""
FOLDERS = [(kind, folder) for kind in PAGES for folder in sorted((DOCS / "studies" / kind).glob("*"))]


@pytest.mark.parametrize(("kind", "folder"), FOLDERS, ids=lambda value: getattr(value, "name", value))
def test_every_table_of_the_page_is_the_command_s(kind, folder):
    name, tables = PAGES[kind]
    text = (DOCS / name).read_text(encoding="utf-8")
    for of, table in tables(folder).items():
        assert table in text, of


def test_every_kind_has_a_folder():
    assert {kind for kind, _ in FOLDERS} == set(PAGES)
