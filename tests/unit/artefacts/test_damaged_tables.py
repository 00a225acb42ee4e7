"""Parquet files whose metadata are damaged end in an error that names the file, whatever the reader raises."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from semprune.artefacts import read_table
from semprune.errors import CorruptArtefactError
from semprune.study.store import store

TABLE = pd.DataFrame({"dataset": ["sst2"], "concept": ["a"], "level": ["token"], "weight": [0.5]})


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"numpy_type"', b'"numpy_tyqe"'), (b"float64", b"flzat64"), (b'"pandas_version"', b'\xba"pandas_version')],
)
def test_damaged_metadata_are_a_typed_error(old, new, tmp_path):
    path = tmp_path / "task_concepts.parquet"
    table = pa.Table.from_pandas(TABLE)
    stored = table.schema.metadata[b"pandas"]
    assert old in stored
    pq.write_table(table.replace_schema_metadata({b"pandas": stored.replace(old, new)}), path)
    with pytest.raises(CorruptArtefactError, match=r"task_concepts\.parquet is not readable"):
        read_table(tmp_path, "task_concepts")
    with pytest.raises(CorruptArtefactError, match=r"task_concepts\.parquet is not readable"):
        store.read_table(path)


@pytest.mark.parametrize("content", [b"[]", b"null", b"\xff", b"[" * 5000, b""])
def test_json_that_is_no_object_is_a_typed_error(content, tmp_path):
    (tmp_path / "cell.json").write_bytes(content)
    with pytest.raises(CorruptArtefactError, match=r"cell\.json is not readable"):
        store.read_json(tmp_path / "cell.json")
