"""Answers read batch by batch are those of the table, whatever the order of its rows and the size of its parts."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from semprune.artefacts import NO_ANSWER, Answers, read_answers
from semprune.artefacts.answers import gathered
from semprune.errors import CorruptArtefactError

CHOICES = {"toy": 2, "ragged": 3}


def cell(method, calibration="", seed=0, calibrated=False):
    return {"backbone": "b", "method": method, "pattern": "unstructured", "sparsity": 0.5 * (method != "dense"),
            "calibration": calibration, "seed": seed, "calibration_sequences": 8 * bool(calibration),
            "calibration_length": 64 * bool(calibration), "calibrated": calibrated}  # fmt: skip


CELLS = [cell("dense"), cell("magnitude", "c4"), cell("magnitude", "wiki"), cell("wanda", "c4", 0, True),
         cell("wanda", "c4", 1, True)]  # fmt: skip


@pytest.fixture
def table():
    """Magnitude is stated for both calibration sets; the last item of ``ragged`` has a choice less."""
    rows = []
    for place, keys in enumerate(CELLS):
        for dataset, choices in CHOICES.items():
            for item in range(5):
                scores = [-float(place + item + choice) for choice in range(choices)]
                scores = scores[:2] if (dataset, item) == ("ragged", 4) else scores
                rows.append(keys | {"dataset": dataset, "prompt": "ask", "item_id": str(item), "label": item % 2,
                                    "document_id": f"{dataset}-{item // 2}", "scores": scores,
                                    "prediction": (item + (place > 2)) % 2})  # fmt: skip
    return pd.DataFrame(rows)


def test_each_model_once_and_each_item_once(table):
    answers = Answers.of(table)
    named = answers.models[["method", "calibration", "calibration_length", "seed"]].to_numpy().tolist()
    assert named == [["dense", "", 0, 0], ["magnitude", "", 0, 0], ["wanda", "c4", 64, 0], ["wanda", "c4", 64, 1]]
    toy, ragged = answers.datasets
    assert (toy.name, toy.items, toy.prompts) == ("toy", list("01234"), ["ask"] * 5)
    assert toy.document.tolist() == [0, 0, 1, 1, 2]
    assert toy.label.tolist() == [0, 1, 0, 1, 0]
    assert toy.right.tolist() == [[1] * 5, [1] * 5, [0] * 5, [0] * 5]
    assert (toy.choices, ragged.choices) == (2, 3)
    assert toy.scores[2, 4].tolist() == [-7.0, -8.0]  # the third model that is stated is the second magnitude
    assert ragged.scores[0, 3].tolist() == [-3.0, -4.0, -5.0]
    assert np.isnan(ragged.scores[:, 4, 2]).all()
    assert not np.isnan(ragged.scores[:, :4]).any()


def equal(one, other):
    assert one.models.sort_values(["method", "seed"]).to_numpy().tolist() == (
        other.models.sort_values(["method", "seed"]).to_numpy().tolist()
    )
    order = [answers.models.sort_values(["method", "seed"]).index for answers in (one, other)]
    for mine in one.datasets:
        theirs = next(dataset for dataset in other.datasets if dataset.name == mine.name)
        assert (mine.items, mine.label.tolist()) == (theirs.items, theirs.label.tolist())
        assert mine.document.tolist() == theirs.document.tolist()
        assert mine.right[order[0]].tolist() == theirs.right[order[1]].tolist()
        np.testing.assert_array_equal(mine.scores[order[0]], theirs.scores[order[1]])


@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
def test_batches_of_any_size_say_the_same(table, rows):
    batches = pa.Table.from_pandas(table).to_batches(rows)
    equal(gathered(batches), Answers.of(table))


def test_rows_in_any_order_say_the_same(table):
    table["scores"] = [[-1.0, -2.0]] * len(table)  # magnitude's two statements are the same
    equal(Answers.of(table.sample(frac=1, random_state=0)), Answers.of(table))


@pytest.mark.parametrize("kind", ["plain", "dictionary", "parts"])
def test_a_file_says_the_same_however_it_is_stored(table, tmp_path, kind):
    path = tmp_path / "predictions.parquet"
    stored = table.astype({"method": "category", "dataset": "category"}) if kind == "dictionary" else table
    pq.write_table(pa.Table.from_pandas(stored), path, row_group_size=4 if kind == "parts" else None,
                   use_dictionary=kind != "plain")  # fmt: skip
    equal(read_answers(tmp_path), Answers.of(table))
    assert read_answers(tmp_path, ranked={"toy"}).datasets[1].scores.shape == (4, 5, 0)
    assert read_answers(tmp_path / "elsewhere") is None


def test_what_a_model_did_not_answer_is_no_wrong_answer(table):
    left = table[~((table["method"] == "wanda") & (table["seed"] == 1) & (table["item_id"] > "2"))]
    toy = Answers.of(left).datasets[0]
    assert toy.right[3].tolist() == [0, 0, 0, NO_ANSWER, NO_ANSWER]
    assert np.isnan(toy.scores[3, 3:]).all()


def test_tables_from_before_the_column_say_it_by_the_calibration(table):
    answers = Answers.of(table[table["method"] != "magnitude"].drop(columns="calibrated"))
    assert answers.models["calibrated"].tolist() == [False, True, True]


def test_an_item_with_two_labels_is_refused(table, tmp_path):
    table.loc[(table["method"] == "wanda") & (table["item_id"] == "3"), "label"] = 0
    table.to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(CorruptArtefactError, match="item 3 of data set toy has two labels"):
        read_answers(tmp_path)


def test_empty_entries_and_other_types_are_refused(table, tmp_path):
    path = tmp_path / "predictions.parquet"
    for change, message in (
        ({"item_id": None}, "column 'item_id' holds null, not text"),
        ({"method": ["dense", *[None] * (len(table) - 1)]}, "column 'method' has empty entries"),
        ({"label": 0.5}, "column 'label' holds double, not integer"),
    ):
        table.assign(**change).to_parquet(path)
        with pytest.raises(CorruptArtefactError, match=message):
            read_answers(tmp_path)
    path.write_bytes(b"no parquet")
    with pytest.raises(CorruptArtefactError, match="not a parquet file"):
        read_answers(tmp_path)
