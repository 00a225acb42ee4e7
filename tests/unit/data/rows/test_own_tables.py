"""Tables of one's own: read, named, asked in a wording made of their columns; everything that can be wrong with one."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from semprune.cli.commands.study import study_parser
from semprune.cli.parsing.arguments import configured
from semprune.data import EvaluationDataModule, dataset_names, dataset_spec, load_items
from semprune.data.rows.own_tables import MOST_CLASSES, read_table, with_own_tables
from semprune.errors import DatasetSchemaError, DatasetUnavailableError, SettingError
from semprune.study import StudyConfig
from semprune.study.config.checks import check, with_tables

INTENTS = pd.DataFrame(
    {
        "text": [
            "Fly me to Rome",
            "Cancel my trip, please",
            "What do I owe {you}?",
            "A seat to Oslo",
            "Stop it",
            "My bill",
        ],
        "intent": ["book_flight", "cancel", "pay-bill"] * 2,
    }
)


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """A cache, a registry variable and a folder of the test's own."""
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEMPRUNE_REGISTRY", "")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)


def write(name, frame=INTENTS):
    {
        ".csv": lambda: frame.to_csv(name, index=False),
        ".jsonl": lambda: frame.to_json(name, orient="records", lines=True),
        ".parquet": lambda: frame.to_parquet(name),
    }[Path(name).suffix]()
    return name


@pytest.mark.parametrize("name", ["My intents.csv", "intents.jsonl", "intents.parquet"])
def test_a_table_is_asked_by_the_names_of_its_columns_and_labels(name, capsys):
    (known,) = with_own_tables([write(name)], label_column="intent")
    assert known == ("my_intents" if "My" in name else "intents")
    items = sorted(load_items(known), key=lambda item: int(item.item_id))
    assert [(item.label, item.prompt) for item in items] == [(0, "columns"), (1, "columns"), (2, "columns")] * 2
    assert items[2].requests == tuple(
        ("Text: What do I owe {you}?\nIntent:", choice) for choice in (" book flight", " cancel", " pay bill")
    )
    spec = dataset_spec(known)
    assert (spec.family, spec.labels.classes) == ("topic", ("book_flight", "cancel", "pay_bill"))
    assert spec.metrics[0] == "accuracy"
    shown = capsys.readouterr().err
    assert "6 rows (book_flight 2, cancel 2, pay-bill 2)" in shown
    assert r"'Text: {text}\nIntent:' -> ' book flight' | ' cancel' | ' pay bill'" in shown


def test_columns_of_any_name_and_labels_that_are_numbers(capsys):
    frame = pd.DataFrame({"text": ["no", "no"], "The body {x}": ["one", "two"], "n stars": [5, 1]})
    (known,) = with_own_tables([write("r.csv", frame)], "The body {x}", "n stars")
    first, second = sorted(load_items(known), key=lambda item: item.item_id)
    assert first.requests == (("The body {x}: one\nN stars:", " 1"), ("The body {x}: one\nN stars:", " 5"))
    assert (first.label, second.label) == (1, 0)


def test_other_names_stay_and_their_order_too():
    write("text.csv", INTENTS.rename(columns={"intent": "label"}))
    assert with_own_tables(["sst2", "text.csv", "piqa"]) == ["sst2", "text", "piqa"]


def test_a_table_called_like_a_data_set_of_the_package_gets_its_ending(capsys):
    assert with_own_tables([write("sst2.csv")], label_column="intent") == ["sst2_csv"]
    assert dataset_spec("sst2").family == "sentiment"


def test_an_edited_table_replaces_what_it_was_and_is_shown_again(capsys):
    for rows in (6, 4):
        write("intents.csv", INTENTS[:rows])
        assert with_own_tables(["intents.csv"], label_column="intent") == ["intents"]
        assert len(load_items("intents")) == rows
        assert f"{rows} rows" in capsys.readouterr().err
    with_own_tables(["intents.csv"], label_column="intent")
    assert capsys.readouterr().err == ""
    assert dataset_names().count("intents") == 1


def test_own_yaml_files_stay_beside_tables(tmp_path):
    (tmp_path / "mine").mkdir()
    os.environ["SEMPRUNE_REGISTRY"] = str(tmp_path / "mine")
    with_own_tables([write("intents.csv")], label_column="intent")
    assert os.environ["SEMPRUNE_REGISTRY"].split(os.pathsep)[0] == str(tmp_path / "mine")


@pytest.mark.parametrize(
    ("frame", "columns", "message"),
    [
        (
            INTENTS,
            ("text", "label"),
            "no column 'label'; the columns are text, intent. Name one of them: --label COLUMN",
        ),
        (INTENTS, ("body", "intent"), "no column 'body'"),
        (INTENTS[::3], ("text", "intent"), "holds one class only, 'book_flight'"),
        (INTENTS[:0], ("text", "intent"), "no data"),
        (INTENTS.replace("Stop it", "  "), ("text", "intent"), "holds no text in 1 of 6 rows, first in row 5"),
        (INTENTS.replace("cancel", None), ("text", "intent"), "is empty in 2 of 6 rows, first in row 2"),
        (INTENTS.assign(text=range(6)), ("text", "intent"), "holds no text in 6 of 6 rows"),
        (
            pd.DataFrame({"text": ["a"] * 60, "intent": range(60)}),
            ("text", "intent"),
            f"has 60 different values, more than {MOST_CLASSES}. Is it the label",
        ),
    ],
)
def test_what_cannot_be_asked_is_an_error_that_says_why(frame, columns, message):
    with pytest.raises(DatasetSchemaError, match=message):
        with_own_tables([write("bad.csv", frame)], *columns)


def test_files_that_are_not_there_or_no_tables():
    with pytest.raises(DatasetSchemaError, match=r"'gone\.csv': there is no such file"):
        read_table("gone.csv")
    Path("text.parquet").write_text("words")
    with pytest.raises(DatasetSchemaError, match=r"text\.parquet"):
        read_table("text.parquet")
    with pytest.raises(SettingError, match="label_column must be left out where no data set is a file"):
        with_own_tables(["sst2"], label_column="intent")


def test_a_yaml_whose_file_is_gone_says_so(tmp_path, monkeypatch):
    (tmp_path / "registry").mkdir()
    spec = read_table(write("intents.csv"), label_column="intent").spec | {"name": "lost"}
    (tmp_path / "registry" / "lost.yaml").write_text(json.dumps(spec))
    monkeypatch.setenv("SEMPRUNE_REGISTRY", str(tmp_path / "registry"))
    Path("intents.csv").unlink()
    with pytest.raises(DatasetUnavailableError, match=r"there is no such file: .*intents\.csv, seen from"):
        load_items("lost")


def test_a_data_module_scores_a_table(capsys):
    module = EvaluationDataModule([write("intents.csv")], calibration=None, label_column="intent")
    assert module.datasets == ("intents",)
    assert [spec.name for spec in module.specs] == ["intents"]


def test_a_study_knows_a_table_by_its_name_and_asks_for_it_on_the_command_line(capsys):
    write("intents.csv")
    parser = study_parser()
    given = parser.parse_args(["--datasets", "intents.csv,sst2", "--label", "intent", "--text.length", "64"])
    config = with_tables(configured(parser, given, StudyConfig))
    assert (config.datasets, config.label_column, config.text.length) == (["intents", "sst2"], "intent", 64)
    check(config)
