"""What was published of learned gates was measured on the same items for every set."""

from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).parents[2] / "docs"
FOLDERS = sorted(path.parent for path in (DOCS / "studies" / "gates").glob("*/items.parquet"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_set_was_asked_the_same_items(folder):
    items = pd.read_parquet(folder / "items.parquet")
    for _, own in items.groupby(["dataset", "wording"]):
        sets = {tuple(rows["document"]) for _, rows in own.groupby(["selection", "seed", "share"])}
        assert len(sets) == 1
