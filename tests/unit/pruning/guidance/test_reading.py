"""From names of what is to be kept to its text and score."""

from pathlib import Path

import pytest
import torch
from tests.models import byte_level_tokenizer

import semprune
from semprune.data import DocumentDataModule, load
from semprune.data.calibration.reserved import load_reserved_items
from semprune.data.rows import splits
from semprune.data.rows.examples import Example
from semprune.errors import ConfigurationError, SettingError, UnknownProtectionError, VocabularySchemaError
from semprune.pruning.guidance import labelled, worded
from semprune.pruning.guidance.protection import Protection, protections
from semprune.pruning.guidance.reading import check_named, read_protected
from semprune.types import Item

TEXT = "the refund came late and the warranty was void. we waited for the money and the shop was closed again. " * 60


@pytest.fixture(scope="module")
def tokenizer():
    return byte_level_tokenizer([TEXT], 300)


@pytest.fixture(autouse=True)
def sources(monkeypatch):
    """One source of running text; reserved rows of every data set are twelve items of its prompt."""
    monkeypatch.setattr(worded, "calibration_text", lambda spec: TEXT if spec.name == "c4" else "")
    monkeypatch.setattr(labelled, "load_reserved_items", reserved)
    monkeypatch.setattr(labelled, "load_family_items", lambda family, **asked: reserved(f"of {family}", **asked))


def reserved(name, items, seed):
    requests = (("the refund came", " late"), ("the refund came", " again and again"))
    return [Item(name, str(place), str(place), requests, place % 2, "toy") for place in range(min(items, 12))]


def read(name, tokenizer, **asked):
    (text,) = read_protected([Protection(name, **asked)], tokenizer, 128)
    return text


def random_logits(batch, vocabulary=300):
    rows, tokens = batch.input_ids.shape
    return torch.randn(rows, tokens, vocabulary, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("name", "choice"), [("sst2", None), ("sentiment", None), ("sst2.positive", 1)])
def test_labels_are_scored_by_the_log_odds_of_a_choice(tokenizer, name, choice):
    text = read(name, tokenizer)
    assert (text.name, sum(len(batch.input_ids) for batch in text.batches)) == (name, 24)

    (batch,) = text.batches
    logits, expected = random_logits(batch), 0.0
    context = tokenizer("the refund came").input_ids
    answers = [tokenizer(answer).input_ids for answer in (" late", " again and again")]
    for item in range(12):
        scores = []
        for row, answer in zip((2 * item + 1, 2 * item), answers, strict=True):  # an item's longest row is its first
            places = [logits[row, len(context) - 1 + step].log_softmax(0)[token] for step, token in enumerate(answer)]
            scores.append(float(sum(places)))
        label = item % 2 if choice is None else choice
        expected += scores[label] - scores[1 - label]
    assert float(batch.score(logits[batch.places])) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,label\na,x\nb,x\n", "two labels or more"),
        ("text,label\na,x\nb,\n", "no label in line 3"),
        ("text,label\na,x\nCame late, and broken,y\n", "more columns than the first line in line 3"),
        ("a,b\n1,2\n", "the columns 'a', 'b'"),
        ("text,label\n", "it has no rows"),
    ],
)
def test_a_wrong_csv_is_refused(tokenizer, tmp_path, content, said):
    (tmp_path / "own.csv").write_text(content, encoding="utf-8")
    with pytest.raises((SettingError, ConfigurationError), match=said):
        read(str(tmp_path / "own.csv"), tokenizer)


def test_what_is_unknown_or_too_rare_is_refused(tokenizer, tmp_path):
    with pytest.raises(UnknownProtectionError, match="did you mean 'sentiment'"):
        read("sentimental", tokenizer)
    with pytest.raises(SettingError, match="one of its classes"):
        read("sst2.angry", tokenizer)
    (tmp_path / "rare.txt").write_text("zebra\n", encoding="utf-8")
    with pytest.raises(SettingError, match="0 windows"):
        read(str(tmp_path / "rare.txt"), tokenizer)
    (tmp_path / "none.txt").write_text("...\n", encoding="utf-8")
    with pytest.raises(VocabularySchemaError):
        read(str(tmp_path / "none.txt"), tokenizer)
    for missing in ("text:nowhere.md", "nowhere.csv", "nowhere.txt"):
        with pytest.raises(ConfigurationError, match="there is no file nowhere"):
            check_named(missing)
    with pytest.raises(SettingError, match="one of its classes"):
        check_named("sst2.")
    (tmp_path / "short.md").write_text("a few words", encoding="utf-8")
    with pytest.raises(SettingError, match="a text of 8 windows"):
        read(f"text:{tmp_path / 'short.md'}", tokenizer)


def test_words_that_the_text_never_has_are_told(tokenizer, tmp_path, caplog):
    own = tmp_path / "shop.txt"
    own.write_text("refund\nmoney\nzebra\n", encoding="utf-8")
    read(str(own), tokenizer)
    assert "nothing keeps zebra, of which there is none" in caplog.text


@pytest.mark.parametrize("name", ["sst2.txt", "LOUD.TXT", "text:notes.csv"])
def test_a_file_is_a_file_whatever_its_name(tokenizer, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name.removeprefix("text:")).write_text(TEXT if ":" in name else "refund\n", encoding="utf-8")
    assert read(name, tokenizer).batches


def test_what_is_right_tells_texts_apart(tokenizer, tmp_path):
    """Of the same tokens, other labels or words ask for something else."""
    hashes = set()
    for labels in ("xyz", "zxy"):
        rows = [f"text {n},{labels[n % 3]}" for n in range(12)]
        (tmp_path / "own.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
        hashes.add(read(str(tmp_path / "own.csv"), tokenizer).text_hash)
    for words in ("the\n", "the\nrefund\n"):
        (tmp_path / "own.txt").write_text(words, encoding="utf-8")
        hashes.add(read(str(tmp_path / "own.txt"), tokenizer).text_hash)
    assert len(hashes) == 4


def test_too_few_reserved_rows_are_refused(tokenizer, monkeypatch):
    monkeypatch.setattr(labelled, "load_reserved_items", lambda name, **_: [])
    with pytest.raises(SettingError, match=r"never evaluated \(there are 0\)"):
        read("arc_easy", tokenizer)


@pytest.mark.parametrize(
    "wrong",
    [
        {"what": ""},
        {"what": []},
        {"what": "x", "strength": 0},
        {"what": "x", "items": 0},
        {"what": "general", "strength": 3},
        {"what": "general", "strength": "auto"},
        {"what": ["general"], "weights": "even"},
    ],
)
def test_a_wrong_protection_is_refused(wrong):
    with pytest.raises(SettingError):
        semprune.Protection(**wrong)


def test_a_path_is_a_name():
    assert protections(Path("words.txt")) == protections("words.txt")


def test_a_name_comes_once():
    with pytest.raises(SettingError, match="once"):
        protections(["sentiment", Protection(["topic", "sentiment"])])


def test_reserved_items_are_those_that_fits_train_on(tokenizer, monkeypatch):
    rows = [Example(str(n), str(n), {"text": f"film {n}"}, n % 2) for n in range(200)]
    for module in (splits, load):
        monkeypatch.setattr(module, "read_split", lambda spec, split, source: rows if split == "fit" else [])
    items = load_reserved_items("movie_reviews", items=500)
    fit = DocumentDataModule(["movie_reviews"])
    fit.tokenizer, fit.context_length = tokenizer, 128
    fit.setup("fit")
    assert {item.document_id for item in items} == {document.document_id for document in fit.train_documents}
    assert fit.val_documents
    few = load_reserved_items("movie_reviews", items=5)
    assert [item.item_id for item in few] == [item.item_id for item in items[:5]]
