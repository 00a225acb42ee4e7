"""What is wrong with data, tokenizer or settings is one typed error through the public functions, or a stated rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.conftest import speaking
from transformers import PreTrainedTokenizerFast

from semprune.data import DocumentDataModule, EvaluationDataModule, load_documents, load_items
from semprune.data.registry import dataset_spec
from semprune.errors import ConfigurationError, DatasetSchemaError, PromptTooLongError, SettingError, UnknownPromptError

ROW = {"sentence": "a warm film", "label": 1, "idx": 0}


def serve(monkeypatch: pytest.MonkeyPatch, *rows: dict[str, Any]) -> None:
    monkeypatch.setattr("semprune.data.rows.sources.datasets.load_dataset", lambda *a, **k: [dict(row) for row in rows])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"sentence": "a", "idx": 0}], r"column label is missing; the row has sentence, idx\. Correct `columns`"),
        ([ROW, ROW | {"label": 2, "idx": 1}], r"label 2 in column 'label' is none of \[0, 1\]"),
        ([ROW, ROW], "column 'idx' is not unique"),
        ([ROW | {"sentence": ""}], "row 0: column 'sentence' holds '', no text"),
        ([ROW | {"sentence": " \n"}], "row 0: column 'sentence' holds .*, no text"),
        ([ROW | {"sentence": None}], "row 0: column 'sentence' holds None, no text"),
        ([ROW | {"sentence": 7}], "row 0: column 'sentence' holds 7, no text"),
    ],
)
def test_rows_that_do_not_hold_what_they_must(
    monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], message: str
) -> None:
    serve(monkeypatch, *rows)
    with pytest.raises(DatasetSchemaError, match=f"data set 'sst2': {message}"):
        load_items("sst2", source="hub")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"score": "high", "sentence1": "a", "sentence2": "b"}, "rating 'high' in column 'score' is no number"),
        ({"score": float("nan"), "sentence1": "a", "sentence2": "b"}, "rating nan in column 'score' is no number"),
    ],
)
def test_grades_that_are_no_numbers(monkeypatch: pytest.MonkeyPatch, row: dict[str, Any], message: str) -> None:
    serve(monkeypatch, {("label" if key == "score" else key): value for key, value in row.items()})
    with pytest.raises(DatasetSchemaError, match=message):
        load_items("stsb", source="hub")


def test_a_sentence_without_its_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, {"sentence": "Ann met Bob.", "option1": "Ann", "option2": "Bob", "answer": "1"})
    with pytest.raises(DatasetSchemaError, match="data set 'winogrande': derived column 'before' fails on a row"):
        load_items("winogrande", source="hub")


def test_bytes_that_are_not_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline = dataset_spec("trec").offline
    assert offline is not None
    path = tmp_path / offline.files
    path.parent.mkdir(parents=True)
    path.write_bytes("HUM:ind Who said cliché ?\n".encode("latin-1"))
    monkeypatch.setattr("semprune.data.rows.sources.ensure_asset", lambda name: tmp_path)
    with pytest.raises(DatasetSchemaError, match=r"question_labels.txt is not utf-8 .*Declare its `encoding`"):
        load_items("trec")


def test_broken_tweets_are_dropped_by_rule(offline: Path) -> None:
    sides = [load_documents("crowd_tweets", split=split) for split in ("fit", "evaluation")]
    texts = [document.text for side in sides for document in side]
    assert sorted(texts) == ["The queue is far too long", "a lovely ride today"]


def bare(tokenizer: PreTrainedTokenizerFast, **special: str) -> PreTrainedTokenizerFast:
    """The same tokens, with these special ones only."""
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, model_max_length=256, **special)


def test_a_tokenizer_without_padding_fills_with_eos_or_0(
    documents: list[Document], plain_tokenizer: PreTrainedTokenizerFast
) -> None:
    for special in ({"eos_token": "</s>"}, {}):
        module = DocumentDataModule(["movie_reviews", "bbc_news"], validation_share=0.0)
        module.bind(speaking(bare(plain_tokenizer, **special))).setup()
        (batch,) = module.train_dataloader()
        assert set(batch.input_ids[batch.attention_mask == 0].tolist()) == {1 if special else 0}


def test_a_tokenizer_without_bos_is_refused_where_nothing_is_given(
    monkeypatch: pytest.MonkeyPatch, plain_tokenizer: PreTrainedTokenizerFast
) -> None:
    serve(monkeypatch, {"id": 1, "sentence1": "Tea is hot", "sentence2": "Hot is tea", "label": 1})
    for special, start in (({"bos_token": "<s>", "eos_token": "</s>"}, 0), ({"eos_token": "</s>"}, 1)):
        module = EvaluationDataModule(["paws"], calibration=None, source="hub")
        module.bind(speaking(bare(plain_tokenizer, **special)))
        module.setup()
        (batch,) = module.item_dataloader()
        assert {row[0] for encoded in batch.items for row in encoded.rows} == {start}
    module = EvaluationDataModule(["paws"], calibration=None, source="hub")
    module.bind(speaking(bare(plain_tokenizer)))
    module.setup()
    with pytest.raises(ConfigurationError, match="needs a BOS or EOS token, and the tokenizer has neither"):
        module.item_dataloader()


def test_contexts_and_texts_longer_than_the_model_reads(offline: Path, plain_tokenizer: Any) -> None:
    module = EvaluationDataModule(["mmlu"], shots=1, calibration=None)
    module.bind(speaking(plain_tokenizer, 60))
    module.setup()
    with pytest.raises(PromptTooLongError, match=r"data set 'mmlu', item '0': .* context is 60.*`truncate: left`"):
        module.item_dataloader()
    documents = DocumentDataModule(["movie_reviews"], max_length=61)
    documents.bind(speaking(plain_tokenizer, 60))
    with pytest.raises(SettingError, match="max_length must be at most 60, the tokens that the model can read, got 61"):
        documents.setup()


def test_settings_of_prompts_are_checked_before_anything_is_read() -> None:
    with pytest.raises(UnknownPromptError, match="unknown prompt 'harnes'; did you mean 'harness'"):
        EvaluationDataModule(["sst2"], prompt="harnes")
    with pytest.raises(SettingError, match="shots must be at least 0, got -2"):
        EvaluationDataModule(["sst2"], shots=-2)


def test_a_chat_without_a_template_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, plain_tokenizer: Any
) -> None:
    def nothing(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("rows were read")

    monkeypatch.setattr("semprune.data.rows.splits.read_rows", nothing)
    module = EvaluationDataModule(["sst2"], chat=True, calibration=None)
    module.bind(speaking(plain_tokenizer))
    with pytest.raises(ConfigurationError, match="no chat template"):
        module.setup()
