"""Fit and test under Lightning, on a tiny model: learning, checkpoints, restoring, ranks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.integration.tiny import (
    LABELS,
    TEXTS,
    TinyData,
    add_targets_wide,
    fit_and_test,
    on_ranks,
    tiny_backbone,
    tiny_module,
    tiny_trainer,
)

from semprune.attribution import NeuronSemanticAttribution, load_association
from semprune.attribution.fit.encoder import Encoder
from semprune.attribution.fit.learner import forward_sites
from semprune.data import DocumentDataModule, DocumentSettings, EvaluationDataModule
from semprune.data.rows.splits import held_out_places
from semprune.errors import (
    BackboneMismatchError,
    ConfigurationError,
    CorruptArtefactError,
    FittedDocumentError,
    SettingError,
)
from semprune.evaluation import item_fidelity
from semprune.pruning.callbacks.methods import Magnitude, SparseGPT, Wanda
from semprune.types import Document, Item


@pytest.fixture(scope="module")
def lm():
    return tiny_backbone()


@pytest.fixture(scope="module")
def fitted(lm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    module = tiny_module(lm)
    trainer = tiny_trainer(folder)
    trainer.fit(module, datamodule=TinyData(lm))
    trainer.save_checkpoint(folder / "fit.ckpt")
    return module, folder / "fit.ckpt"


def test_the_learned_matrix_agrees_with_the_closed_form(fitted):
    module, _ = fitted
    learned, solved = module.learner.token.coefficients.data, module.learner.token.closed_form
    assert torch.corrcoef(torch.stack([learned.flatten(), solved.flatten()]))[0, 1] > 0.98
    assert not torch.equal(learned, solved)


def test_closed_form_equals_a_regression_over_all_activations(tmp_path, monkeypatch):
    monkeypatch.setattr(Encoder, "add_targets", add_targets_wide)
    lm = tiny_backbone()
    lm.model.double()
    module = tiny_module(lm)
    tiny_trainer(tmp_path).fit(module, datamodule=TinyData(lm))
    rows, targets = [], []
    for batch in TinyData(lm).train_dataloader():
        seen = module.learner.labelled(batch, module.labeller)
        kept = []
        forward_sites(
            lm, lm.sites, batch, lambda site, h, kept=kept: kept.append(module.learner.standardiser(site, h.float()))
        )
        rows.append(seen.token[seen.valid])
        targets.append(torch.cat(kept, dim=-1)[seen.valid])
    m, z = torch.cat(rows).double(), torch.cat(targets).double()
    ridge = 1e-4 * len(m) * torch.eye(m.shape[1], dtype=torch.float64)
    expected = torch.linalg.solve(m.T @ m + ridge, m.T @ z).float()
    torch.testing.assert_close(module.learner.token.closed_form, expected, rtol=1e-3, atol=1e-4)


def test_the_checkpoint_holds_the_association_and_not_the_model(fitted, lm):
    _, path = fitted
    keys = torch.load(path, weights_only=True)["state_dict"]
    assert any(key.endswith("token.coefficients") for key in keys)
    assert not any("embed_tokens" in key or "q_proj" in key for key in keys)


def test_a_checkpoint_brings_the_same_association_to_test(fitted, lm, tmp_path):
    module, path = fitted
    fresh = tiny_module(lm)
    tiny_trainer(tmp_path).test(fresh, datamodule=TinyData(lm), ckpt_path=str(path), weights_only=True, verbose=False)
    assert torch.equal(fresh.association().matrix, module.association().matrix)
    assert len(fresh.outcomes["dense"].predictions) == 40


def test_test_makes_a_dense_and_a_pruned_pass_and_restores(fitted, lm, tmp_path):
    module, _ = fitted
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    module.outcomes.clear()
    tiny_trainer(tmp_path, callbacks=[Magnitude(0.6)]).test(module, datamodule=TinyData(lm), verbose=False)
    assert set(module.outcomes) == {"dense", "magnitude"}
    assert all(torch.equal(before[name], value) for name, value in lm.model.state_dict().items())
    dense, pruned = module.outcomes["dense"], module.outcomes["magnitude"]
    assert dense.predictions["item_id"].tolist() == pruned.predictions["item_id"].tolist()
    assert dense.predictions["scores"].tolist() != pruned.predictions["scores"].tolist()
    (near,) = (row for row in item_fidelity(dense.predictions, pruned.predictions).to_dict("records"))
    logged = pruned.scalars(dense, None)
    assert logged[f"{near['dataset']}/item_kl"] == near["divergence"] > 0
    assert logged[f"{near['dataset']}/flips"] == near["flips"]
    loss = pruned.semantic_loss(dense, module.association())
    assert (loss.loc[loss["layer"] == -1, "sl"] > 0).any()
    same = dense.semantic_loss(dense, module.association())
    assert (same["sl"].abs() < 1e-6).all()


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        (["attention"], ["layers.0.attn", "layers.1.attn"]),
        (["mlp", "attention"], ["layers.0.mlp", "layers.0.attn", "layers.1.mlp", "layers.1.attn"]),
    ],
)
def test_heads_can_be_fitted_beside_or_without_mlp_neurons(kinds, names, lm, tmp_path):
    module = tiny_module(lm)
    module.hparams["sites"] = kinds
    tiny_trainer(tmp_path).fit(module, datamodule=TinyData(lm))
    association = module.association()
    assert [site.name for site in association.sites] == names
    assert association.gate.any()
    width = {site.name: site.width for site in association.sites}
    assert width["layers.0.attn"] == 32  # two heads of 16
    association.save(tmp_path / "heads.safetensors")
    assert load_association(tmp_path / "heads.safetensors").sites == association.sites
    module.outcomes.clear()
    trainer = tiny_trainer(tmp_path, callbacks=[Wanda(0.6, batch_size=4)])
    trainer.test(module, datamodule=TinyData(lm), verbose=False)
    dense, pruned = module.outcomes["dense"], module.outcomes["wanda"]
    loss = pruned.semantic_loss(dense, association)
    assert (loss.loc[loss["layer"] == -1, "sl"] > 0).any()
    assert dense.weights_only_loss(lm, association, {}).empty  # defined for MLP neurons only


def test_an_unknown_kind_of_site_is_refused(lm, tmp_path):
    module = tiny_module(lm)
    module.hparams["sites"] = ["heads"]
    with pytest.raises(SettingError, match="kinds must be some of mlp, attention, got 'heads'"):
        tiny_trainer(tmp_path).fit(module, datamodule=TinyData(lm))


def test_the_weights_only_loss_counts_the_weights_that_a_method_moves(fitted, lm, tmp_path):
    module, _ = fitted
    module.outcomes.clear()
    pruner = SparseGPT(0.5, batch_size=4)
    tiny_trainer(tmp_path, callbacks=[pruner]).test(module, datamodule=TinyData(lm), verbose=False)
    dense, pruned = module.outcomes["dense"], module.outcomes["sparsegpt"]
    association = module.association()
    moved = dense.weights_only_loss(lm, association, pruned.weights)
    masked = dense.weights_only_loss(lm, association, pruner.report.masks)
    kept = pruned.weights["model.layers.0.mlp.up_proj"]
    assert torch.equal(kept != 0, pruner.report.masks["model.layers.0.mlp.up_proj"])
    assert (moved["wsl"] > masked["wsl"]).all()
    assert dense.weights is None


def test_two_pruners_at_once_are_refused(fitted, lm, tmp_path):
    module, _ = fitted
    with pytest.raises(ConfigurationError, match="one method at a time"):
        tiny_trainer(tmp_path, callbacks=[Magnitude(), Wanda()]).test(module, datamodule=TinyData(lm))


def test_a_checkpoint_of_another_backbone_is_refused(fitted, lm, tmp_path):
    _, path = fitted
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["semprune"]["fingerprint"]["weights_sha256"] = "0" * 64
    torch.save(checkpoint, tmp_path / "other.ckpt")
    with pytest.raises(BackboneMismatchError, match="Pass the backbone it was made with"):
        tiny_trainer(tmp_path).test(
            tiny_module(lm), datamodule=TinyData(lm), ckpt_path=str(tmp_path / "other.ckpt"), weights_only=True
        )


def test_one_epoch_is_refused(lm, tmp_path):
    trainer = tiny_trainer(tmp_path)
    trainer.fit_loop.max_epochs = 1
    with pytest.raises(ConfigurationError, match="max_epochs 2 or more"):
        trainer.fit(tiny_module(lm), datamodule=TinyData(lm))


def test_a_saved_association_comes_back_and_a_damaged_one_is_refused(fitted, tmp_path):
    module, _ = fitted
    path = tmp_path / "association.safetensors"
    module.association().save(path)
    back = load_association(path)
    assert back.concepts == module.association().concepts
    assert torch.equal(back.matrix, module.association().matrix)
    assert all(name.startswith("layers.") for name in back.top("sentiment.positive", 3))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorruptArtefactError, match="semprune fit"):
        load_association(path)


@pytest.fixture
def reviews(monkeypatch):
    """The tiny texts in place of a data set's, for the package's own data modules."""
    documents = [
        Document("movie_reviews", str(n), text, ("positive", "negative")[label])
        for n, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]
    items = [
        Item("movie_reviews", f"i{n}", f"i{n}", ((f"{text}:", " good"), (f"{text}:", " bad")), label, "tiny")
        for n, (text, label) in enumerate(zip(TEXTS[:8], LABELS[:8], strict=True))
    ]
    items.append(Item("movie_reviews", "i8", "i8", (("a film:", ""), ("a film:", " bad")), 1, "tiny"))
    monkeypatch.setattr("semprune.data.modules.documents.load_documents", lambda *_, **__: documents)
    monkeypatch.setattr("semprune.data.modules.documents.fetch", lambda *_: None)
    monkeypatch.setattr("semprune.data.modules.evaluation.load_items", lambda *_, **__: items)
    monkeypatch.setattr("semprune.data.modules.evaluation.fetch", lambda *_: None)


def test_documents_that_were_fitted_are_never_read_as_held_out(reviews, lm, tmp_path, caplog):
    module, trainer = tiny_module(lm), tiny_trainer(tmp_path, max_epochs=2)
    fitting = DocumentDataModule(["movie_reviews"], None, 32, 7, validation_share=0.1).bind(lm)
    trainer.fit(module, datamodule=fitting)
    trainer.save_checkpoint(tmp_path / "fit.ckpt")
    module.association().save(tmp_path / "association.safetensors")

    def test(share: float, path: str = "fit.ckpt") -> NeuronSemanticAttribution:
        documents = DocumentSettings(["movie_reviews"], max_length=32, validation_share=share)
        data = EvaluationDataModule(["movie_reviews"], calibration=None, documents=documents).bind(lm)
        trainer, path = tiny_trainer(tmp_path), str(tmp_path / path)
        trainer.test(tested := tiny_module(lm), data, ckpt_path=path, weights_only=True, verbose=False)
        return tested

    names = {document.document_id for document in fitting.train_documents}
    every = [(document.document_id, document.label) for document in [*fitting.train_documents, *fitting.val_documents]]
    places = held_out_places("movie_reviews", every)
    wider = [document for document in fitting.train_documents if places[document.document_id] < 0.5]
    both = len(wider) + len(fitting.val_documents)
    with pytest.raises(FittedDocumentError, match=f"{len(wider)} of {both} documents .* 0.1: pass that, or less"):
        test(0.5)
    results = test(0.1).outcomes["dense"].results()
    assert results[["n", "left_out"]].drop_duplicates().values.tolist() == [[8, 1]]  # "i8" has no token to score
    back = load_association(tmp_path / "association.safetensors").fitted
    assert len(back.hashes) == len(names)
    assert (back.datasets, back.validation_share, back.seed) == (("movie_reviews",), 0.1, 0)
    assert back.read_by(fitting.val_documents) == []
    assert len(back.read_by(fitting.train_documents)) == len(names)
    assert "does not say which documents" not in caplog.text
    before = torch.load(tmp_path / "fit.ckpt", weights_only=True)
    del before["semprune"]["fitted"]
    torch.save(before, tmp_path / "before.ckpt")
    test(0.5, "before.ckpt")
    assert "does not say which documents it read" in caplog.text


def test_two_processes_equal_one(tmp_path: Path):
    """Same association, masks, predictions and semantic loss from one process and from two gloo ranks."""
    for ranks in (1, 2):
        (tmp_path / str(ranks)).mkdir()
        on_ranks(fit_and_test, tmp_path / str(ranks), ranks)
    one, two = (load_association(tmp_path / str(n) / "association.safetensors") for n in (1, 2))
    # in float64 (see tiny.py): eight templates are nearly collinear, which amplifies rounding in fp32 a thousandfold
    torch.testing.assert_close(one.matrix, two.matrix, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.t, two.t, rtol=1e-3, atol=1e-3)
    assert torch.equal(one.gate, two.gate)
    assert (tmp_path / "1/masks.txt").read_text() == (tmp_path / "2/masks.txt").read_text()
    first, second = (pd.read_json(tmp_path / str(n) / "predictions.json") for n in (1, 2))
    assert first["item_id"].tolist() == second["item_id"].tolist()
    assert first["prediction"].tolist() == second["prediction"].tolist()
    loss = [pd.read_json(tmp_path / str(n) / "loss.json") for n in (1, 2)]
    pd.testing.assert_frame_equal(loss[0], loss[1], rtol=1e-3, atol=1e-3)
