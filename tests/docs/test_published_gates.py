"""What the page says of learned gates is what the published log-odds say: every table is computed again."""

from pathlib import Path

import pandas as pd
import pytest
from benchmarks.gates_page import page

DOCS = Path(__file__).parents[2] / "docs"
FOLDERS = sorted(path.parent for path in (DOCS / "studies" / "gates").glob("*/items.parquet"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_table_of_the_page_is_the_command_s(folder):
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    for name, table in page(folder).items():
        assert table in text, name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_set_was_asked_the_same_items(folder):
    items = pd.read_parquet(folder / "items.parquet")
    for _, own in items.groupby(["dataset", "wording"]):
        sets = {tuple(rows["document"]) for _, rows in own.groupby(["selection", "seed", "share"])}
        assert len(sets) == 1
