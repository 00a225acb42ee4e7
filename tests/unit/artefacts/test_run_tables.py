"""The declarations of a run's tables, and that what is written can be read."""

import pandas as pd
import pytest

from semprune.artefacts import (
    CELL,
    DENSE,
    DRAW,
    SETTING,
    TABLES,
    Cell,
    read_table,
    stated_once,
    with_cell,
    write_parts,
    write_table,
)
from semprune.errors import CorruptArtefactError
from semprune.evaluation.predictions.prediction import PREDICTION_COLUMNS
from semprune.evaluation.results.summarise import MEASUREMENT_COLUMNS

WANDA = Cell("wanda", 0.5, "c4", 1, sequences=4, length=16)
VALUES = {"text": "a", "integer": 1, "number": 0.5, "numbers": [0.5, 1.0], "flag": True}


def row_of(name):
    """One row with every declared column but those of a cell."""
    kinds = TABLES[name].columns | TABLES[name].newer
    return pd.DataFrame({column: [VALUES[kind]] for column, kind in kinds.items() if column not in CELL})


@pytest.mark.parametrize("name", TABLES)
def test_a_declaration_is_whole(name):
    table = TABLES[name]
    assert table.name == name
    assert set(table.keys) <= set(table.columns)
    assert not set(table.columns) & set(table.newer)
    assert set((table.columns | table.newer).values()) <= set(VALUES)
    assert table.by_cell == (table.of != "run")
    assert not table.by_cell or set(SETTING) < set(table.columns)


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if table.by_cell])
def test_what_is_written_is_read(tmp_path, name):
    write_table(tmp_path, name, pd.concat([with_cell(row_of(name), cell, "b") for cell in (DENSE, WANDA)]))
    read = read_table(tmp_path, name)
    assert list(read["method"]) == ["dense", "wanda"]
    assert set(read) == set(TABLES[name].columns) | set(TABLES[name].newer)
    assert len(stated_once(read.assign(backbone="b"))) == 2


def test_a_table_without_a_column_that_readers_need_is_not_written(tmp_path):
    with pytest.raises(CorruptArtefactError, match=r"results\.parquet .* would lack backbone, method, .*not written"):
        write_table(tmp_path, "results", row_of("results"))
    assert not list(tmp_path.iterdir())


def test_a_cell_s_columns_stand_first_and_once():
    again = with_cell(with_cell(row_of("sparsity"), DENSE, "a"), WANDA, "b", calibrated=False)
    assert sorted(again.columns[: len(CELL)]) == sorted(CELL)
    assert again.columns.is_unique
    assert again[[*DRAW, "backbone", "calibrated"]].values.tolist() == [["c4", 4, 16, 1, "b", False]]
    assert WANDA.draw == tuple(again[list(DRAW)].iloc[0])


def test_what_evaluation_measures_is_what_is_declared():
    assert MEASUREMENT_COLUMNS == ("dataset", "family", "prompt", "metric", "value", "low", "high", "n", "dense",
                                   "difference", "difference_low", "difference_high", "p", "left_out")  # fmt: skip
    assert set(TABLES["predictions"].measured) < set(PREDICTION_COLUMNS)


def test_parts_are_read_as_one_table(tmp_path):
    parts = [with_cell(row_of("predictions").assign(item_id=name), WANDA, "b") for name in "xy"]
    write_parts(tmp_path, "predictions", iter(parts))
    whole = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(read_table(tmp_path, "predictions"), whole, check_like=True)


def test_parts_that_lack_a_column_leave_no_file(tmp_path):
    parts = [with_cell(row_of("predictions"), WANDA, "b")]
    with pytest.raises(CorruptArtefactError, match="it would lack label"):
        write_parts(tmp_path, "predictions", iter([*parts, parts[0].drop(columns="label")]))
    assert not list(tmp_path.iterdir())
