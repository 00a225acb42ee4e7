"""What was published of patched gates agrees with itself."""

from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).parents[2] / "docs"
FOLDERS = sorted(path.parent for path in (DOCS / "studies" / "gates-mediation").glob("*/mediation.parquet"))

NOTHING_LOST = {"smollm2-135m-topic": {"magnitude", "sparsegpt"}}
"""Methods that cost a study's task nothing that is told from 0."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_share_is_the_way_from_the_pruned_to_the_dense_model(folder):
    """Where pruning cost nothing that is told from 0, there is no share."""
    whole = pd.read_parquet(folder / "mediation.parquet")
    table = whole[whole["recovered"].notna()]
    way = (table["patched"] - table["pruned"]) / (table["dense"] - table["pruned"])
    assert table["recovered"].to_numpy() == pytest.approx(way.to_numpy())
    assert set(whole["method"]) - set(table["method"]) == NOTHING_LOST.get(folder.name, set())
    assert len(table.groupby(["method", "dataset"])[["dense", "pruned"]].nunique().drop_duplicates()) == 1
