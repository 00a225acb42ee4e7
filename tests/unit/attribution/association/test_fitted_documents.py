"""Which documents a fit read: identifiers as bytes that can be worked out with hashlib alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch
from tests.unit.attribution.worlds import association_of, tiny_lm

from semprune.attribution import load_association
from semprune.attribution.association.fitted_documents import FittedDocuments, require_held_out
from semprune.attribution.fit.checkpoint import StoredFit
from semprune.attribution.fit.learner import LearnerShape
from semprune.errors import ConfigurationError, FittedDocumentError
from semprune.types import Document, Fingerprint


def documents(*names: str) -> list[Document]:
    return [Document("films", name, "fine") for name in names]


def fitted(*names: str) -> FittedDocuments:
    return FittedDocuments.of(documents(*names), ["films"], 0.25, 3)


def test_a_document_is_its_hash_once_however_many_texts_it_has():
    own = fitted("b", "a", "b")
    expected = [hashlib.sha256(name).digest()[:8] for name in (b"films/a", b"films/b")]
    assert {hashed.tobytes() for hashed in own.hashes.numpy().astype("<i8")} == set(expected)
    assert own.hashes.tolist() == sorted(own.hashes.tolist())
    assert own.digest == hashlib.sha256(b"films/a\nfilms/b").hexdigest()
    assert own.digest == fitted("a", "b").digest != fitted("a").digest


def test_reading_a_fitted_document_as_held_out_is_refused():
    own = fitted("a", "b")
    require_held_out(own, documents("c", "d"))
    require_held_out(own, [Document("shops", "a", "fine")])
    with pytest.raises(FittedDocumentError, match=r"1 of 2 documents .* 'films/b' among them.*_share 0\.25"):
        require_held_out(own, documents("c", "b", "b"))


def test_an_association_keeps_its_documents_and_leaves_its_tensors_as_they_were(tmp_path):
    lm = tiny_lm()
    bare = association_of(lm, torch.ones(sum(site.width for site in lm.sites), 2))
    known = replace(bare, fitted=fitted("a", "b"))
    for name, each in (("bare", bare), ("known", known)):
        each.save(tmp_path / name)
    old, new = load_association(tmp_path / "bare"), load_association(tmp_path / "known")
    assert old.fitted is None
    assert torch.equal(new.fitted.hashes, known.fitted.hashes)
    assert vars(new.fitted) | {"hashes": None} == vars(known.fitted) | {"hashes": None}
    assert torch.equal(old.matrix, new.matrix)


def test_a_fit_is_not_resumed_on_other_documents():
    mark = Fingerprint("Toy", "memory", "0" * 64)
    stored = StoredFit(LearnerShape(("c",), (), ("films",), 8, 10), mark, {}, fitted("a", "b"))
    checkpoint = {}
    stored.add_to(checkpoint)
    back = StoredFit.of(checkpoint)
    back.require(mark, stored.shape, fitted("b", "a"))
    with pytest.raises(ConfigurationError, match="2 documents that are not the 1 of this run"):
        back.require(mark, stored.shape, fitted("a"))
