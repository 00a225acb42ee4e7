"""Documents to fit on: their split, their indices, their ranks."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.unit.data.conftest import speaking
from transformers import PreTrainedTokenizerFast

from semprune.data import DocumentDataModule, load_documents
from semprune.data.load import load_fitting_items
from semprune.errors import ConfigurationError, DatasetSchemaError
from semprune.types import Document

SETS = ["movie_reviews", "bbc_news"]


def test_neither_seed_nor_limit_moves_a_document(plain_tokenizer: Any, documents: list[Document]) -> None:
    modules = [
        DocumentDataModule(SETS, validation_share=0.4, seed=seed, limit=limit) for seed, limit in ((0, None), (1, 6))
    ]
    for module in modules:
        module.bind(speaking(plain_tokenizer))
        module.setup("fit")
    everything, fewer = modules
    assert set(everything.train_documents) | set(everything.val_documents) == set(documents)
    assert not set(everything.train_documents) & set(everything.val_documents)
    assert len(everything.val_documents) > 1
    selected = {*fewer.train_documents, *fewer.val_documents}
    assert len(selected) == 12
    assert set(fewer.val_documents) == selected & set(everything.val_documents)
    assert everything.data_hash != fewer.data_hash


def test_document_batches_carry_their_indices(
    bos_tokenizer: PreTrainedTokenizerFast, documents: list[Document]
) -> None:
    module = DocumentDataModule(SETS, max_length=4, batch_size=3, validation_share=0.3)
    module.bind(speaking(bos_tokenizer))
    module.setup()
    assert module.classes[:3] == ("movie_reviews.negative", "movie_reviews.positive", "bbc_news.business")
    batches = list(module.val_dataloader())
    rows = [row for batch in batches for row in range(len(batch.document))]
    assert sorted(torch.cat([batch.document for batch in batches]).tolist()) == list(range(len(module.val_documents)))
    assert len(rows) == len(module.val_documents)
    lengths = [len(bos_tokenizer.encode(document.text)[:4]) for document in module.val_documents]
    assert [batch.input_ids.shape[1] for batch in batches] == sorted(lengths, reverse=True)[::3]
    for batch in batches:
        for row, index in enumerate(batch.document.tolist()):
            document = module.val_documents[index]
            tokens = batch.input_ids[row][batch.attention_mask[row] == 1].tolist()
            assert tokens == bos_tokenizer.encode(document.text)[:4]
            assert module.datasets[batch.dataset[row]] == document.dataset
            assert module.classes[batch.label[row]] == f"{document.dataset}.{document.label}"


def test_texts_of_one_document_share_a_cluster_and_a_side(
    plain_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reviews 0 to 11 of two shops with the same numbers, three sentences each.
    made = {name: [Document(name, str(n // 3), f"text {n}") for n in range(36)] for name in ("amazon_reviews", "piqa")}
    monkeypatch.setattr("semprune.data.modules.documents.load_documents", lambda name, **_: made[name])
    module = DocumentDataModule(list(made), batch_size=5, validation_share=0.4)
    module.bind(speaking(plain_tokenizer))
    module.setup()
    sides = []
    for documents, loader in (
        (module.train_documents, module.train_dataloader()),
        (module.val_documents, module.val_dataloader()),
    ):
        found: dict[tuple[str, str], set[int]] = {}
        for batch in loader:
            assert batch.cluster.dtype == torch.long
            for text, cluster in zip(batch.document.tolist(), batch.cluster.tolist(), strict=True):
                document = documents[text]
                found.setdefault((document.dataset, document.document_id), set()).add(cluster)
        assert all(len(clusters) == 1 for clusters in found.values())
        assert sorted(cluster for clusters in found.values() for cluster in clusters) == list(range(len(found)))
        assert 3 * len(found) == len(documents)
        sides.append(set(found))
    assert not sides[0] & sides[1]
    assert len(sides[0]) + len(sides[1]) == 24


def test_a_document_without_tokens_is_refused(plain_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semprune.data.modules.documents.load_documents", lambda name, **_: [Document(name, "5", "")])
    module = DocumentDataModule(["piqa"], validation_share=0.0)
    module.bind(speaking(plain_tokenizer))
    module.setup()
    with pytest.raises(DatasetSchemaError, match="data set 'piqa': document 5 has no tokens"):
        module.train_dataloader()


def test_documents_move_with_all_of_their_tensors(plain_tokenizer: Any, documents: list[Document]) -> None:
    module = DocumentDataModule(SETS).bind(speaking(plain_tokenizer))
    module.setup()
    batch = next(iter(module.val_dataloader()))
    moved = module.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert {getattr(moved, field.name).device.type for field in fields(batch)} == {"meta"}
    assert batch.input_ids.device.type == "cpu"


def test_the_trainers_own_sampler_is_refused_on_several_ranks(plain_tokenizer: Any, documents: list[Document]) -> None:
    module = DocumentDataModule(SETS)
    module.bind(speaking(plain_tokenizer))
    for distributed in (True, False):
        connector = SimpleNamespace(use_distributed_sampler=distributed)
        module.trainer = SimpleNamespace(world_size=2, _accelerator_connector=connector, lightning_module=None)
        if distributed:
            with pytest.raises(ConfigurationError, match="Set use_distributed_sampler to false"):
                module.setup()
        else:
            module.setup()
            assert module.train_documents


def test_real_documents_reach_the_module(offline: Path, plain_tokenizer: Any) -> None:
    module = DocumentDataModule(SETS, validation_share=0.0)
    module.bind(speaking(plain_tokenizer))
    module.prepare_data()
    module.setup()
    loaded = [document for name in SETS for document in load_documents(name)]
    assert list(module.train_documents) == loaded
    assert module.val_documents == ()


def test_texts_of_one_document_are_in_one_batch(plain_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [Document("amazon_reviews", str(k % 7), "good " * (1 + k % 5), None) for k in range(40)]
    monkeypatch.setattr("semprune.data.modules.documents.load_documents", lambda name, **_: texts)
    module = DocumentDataModule(["amazon_reviews"], batch_size=3, validation_share=0.0)
    module.bind(speaking(plain_tokenizer))
    module.setup("fit")
    batches = [set(batch.cluster.tolist()) for batch in module.train_dataloader()]
    assert sorted(cluster for batch in batches for cluster in batch) == list(range(7))
    assert sum(len(batch.input_ids) for batch in module.train_dataloader()) == 40


def test_fitting_items_are_of_the_documents_that_a_fit_trains_on(
    plain_tokenizer: PreTrainedTokenizerFast, offline: Path
) -> None:
    for limit, share in ((None, 0.3), (4, 0.5)):
        module = DocumentDataModule(["movie_reviews"], limit, validation_share=share, seed=1)
        module.bind(speaking(plain_tokenizer)).setup()
        items = load_fitting_items("movie_reviews", limit=limit, seed=1, prompt="all", validation_share=share)
        trained = [document.document_id for document in module.train_documents]
        assert [item.document_id for item in items if item.prompt == "review"] == trained
        assert len(items) == 5 * len(trained) > 0
        classes = ("negative", "positive")
        assert [classes[item.label] for item in items[: len(trained)]] == [d.label for d in module.train_documents]
