"""Which files are one's own, and that an edit which no listing shows is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from semprune.data.registry import HubSource
from semprune.data.rows.local_files import local_files, rows_cache
from semprune.data.rows.sources import _hub_rows


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    (tmp_path / "rows").mkdir()
    for name in ("a", "b"):
        (tmp_path / "rows" / f"{name}.jsonl").write_text(f'{{"text": "{name}1"}}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path / "rows"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (HubSource("json", "train", data_files="rows/a.jsonl"), ["a.jsonl"]),
        (HubSource("json", "train", data_files="rows/*.jsonl"), ["a.jsonl", "b.jsonl"]),
        (HubSource("rows", "train"), ["a.jsonl", "b.jsonl"]),
        (HubSource("rows", "train", data_files="b*"), ["b.jsonl"]),
        (HubSource("organisation/name", "train", data_files="a.jsonl"), []),
        (HubSource("json", "train", data_files="https://example.org/rows/a.jsonl"), []),
    ],
)
def test_files_of_a_source(source: HubSource, names: list[str]) -> None:
    assert [path.name for path in local_files(source)] == names
    assert (rows_cache(source) is None) == (not names)


@pytest.mark.parametrize("source", [HubSource("json", "train", data_files="rows/a.jsonl"), HubSource("rows", "train")])
def test_an_edit_at_the_same_size_and_time_is_read(folder: Path, source: HubSource) -> None:
    assert _hub_rows("toy", source, fit=False)[0]["text"] == "a1"
    path = folder / "a.jsonl"
    status = path.stat()
    path.write_text(path.read_text().replace("a1", "a2"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _hub_rows("toy", source, fit=False)[0]["text"] == "a2"
