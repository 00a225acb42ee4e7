"""A tokenizer trained in a moment, and the hand-written rows of ``fixtures`` as hub and offline package."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pyarrow as pa
import pytest
import yaml
from tests.models import byte_level_tokenizer
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from semprune.data.registry import OfflineSource, calibration_names, calibration_spec, dataset_names, dataset_spec
from semprune.types import Document

FIXTURES = Path(__file__).parent / "fixtures"
SENTENCES = [
    "Review: a warm and witty film, gently told.\nSentiment: positive",
    "Review: two hours of rain and dull talk.\nSentiment: negative",
    "Question: Is this sentence positive or negative?\nAnswer: positive",
    "Article: the bank lifts its rates and the team wins the cup.\nTopic: business sports",
]


def _load(name: str) -> dict[str, Any]:
    return yaml.safe_load((FIXTURES / f"{name}.yaml").read_text("utf-8"))


def speaking(tokenizer: Any, max_length: int = 256) -> Any:
    """What data modules are bound to: a model of which only the tokenizer and the length are asked."""
    return SimpleNamespace(name="toy", tokenizer=tokenizer, max_length=max_length)


def train_tokenizer(*, adds_bos: bool) -> PreTrainedTokenizerFast:
    """A byte-level BPE, like GPT-2's (no special tokens) or Llama 3's (BOS before every text)."""
    around = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)]) if adds_bos else None
    return byte_level_tokenizer(SENTENCES, 400, around=around, model_max_length=256)


@pytest.fixture(scope="session")
def written() -> Callable[[str], dict[str, Any]]:
    """The hand-written rows and expectations of a data set, by name."""
    return _load


@pytest.fixture(scope="session")
def plain_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(adds_bos=False)


@pytest.fixture(scope="session")
def bos_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(adds_bos=True)


@pytest.fixture(scope="session", params=["plain", "bos"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return train_tokenizer(adds_bos=request.param == "bos")


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder that stands for every offline package: fixture rows and short calibration texts."""
    folder = tmp_path_factory.mktemp("package")
    for name in dataset_names():
        offline = dataset_spec(name).offline
        if offline is not None:
            _write_rows(folder, offline, _load(name)["offline"])
            if offline.fit_files is not None:
                _write_rows(folder, dataclasses.replace(offline, files=offline.fit_files), _load(name)["fit"])
    for name in calibration_names():
        text = calibration_spec(name).offline
        if text is None:
            continue
        path = folder / text.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"One short text called {name}. It goes on for a while, and then it ends.\n" * 40, "utf-8")
    return folder


@pytest.fixture
def offline(package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every asset is the folder of fixtures, and the hub is out of reach."""

    def no_hub(*arguments: object, **settings: object) -> None:
        raise ConnectionError("no network in tests")

    monkeypatch.setattr("semprune.data.rows.sources.ensure_asset", lambda name: package)
    monkeypatch.setattr("semprune.data.rows.sources.datasets.load_dataset", no_hub)
    return package


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Serve the hub rows of a fixture, whatever split is asked for; no offline package can be had."""

    def serve(name: str) -> None:
        rows = datasets.Dataset.from_list(_load(name)["hub"])
        monkeypatch.setattr("semprune.data.rows.sources.datasets.load_dataset", lambda *a, **k: rows)

    def no_asset(name: str) -> None:
        raise AssertionError(f"asset {name} was asked for")

    monkeypatch.setattr("semprune.data.rows.sources.ensure_asset", no_asset)
    return serve


def _write_rows(folder: Path, source: OfflineSource, rows: list[dict[str, Any]]) -> None:
    """Write rows as a package holds them: the inverse of the readers, written without them."""
    path = folder / source.files.replace("*.arrow", "data-00000-of-00001.arrow").replace("*", "any")
    if source.format == "folders":
        for row in rows:
            _write_text(folder / source.files.replace("*/*.txt", f"{row['label']}/{row['file']}"), row["text"], source)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if source.format == "arrow":
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    elif source.format == "tsv":
        lines = [*([] if source.header else ["\t".join(rows[0])]), *("\t".join(row.values()) for row in rows)]
        path.write_bytes("\r\n".join(lines).encode(source.encoding))  # the packages have Windows line ends
    elif source.format == "lines":
        path.write_text("".join(f"{row['label']}:{row['fine']} {row['text']}\n" for row in rows), source.encoding)
    else:
        with path.open("w", encoding=source.encoding, newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _write_text(path: Path, text: str, source: OfflineSource) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = source.encoding_exceptions.get(f"{path.parent.name}/{path.name}", source.encoding)
    path.write_bytes(text.encode(encoding))


@pytest.fixture
def documents(monkeypatch: pytest.MonkeyPatch) -> list[Document]:
    """Ten reviews and ten articles instead of the registry's."""
    made = [
        Document(name, str(n), f"text {n} of {name}", label)
        for name, label in (("movie_reviews", "positive"), ("bbc_news", "tech"))
        for n in range(10)
    ]

    def load(name: str, *, split: str, source: str) -> list[Document]:
        assert split == "fit"
        return [document for document in made if document.dataset == name]

    monkeypatch.setattr("semprune.data.modules.documents.load_documents", load)
    return made
