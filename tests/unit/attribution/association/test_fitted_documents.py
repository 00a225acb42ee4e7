"""Which documents a fit read: identifiers as bytes that can be worked out with hashlib alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tests.unit.attribution.worlds import association_of, tiny_lm

from semprune.attribution import load_association
from semprune.attribution.association.association import FORMAT
from semprune.attribution.association.fitted_documents import FittedDocuments, require_held_out
from semprune.attribution.fit.checkpoint import StoredFit
from semprune.attribution.fit.learner import LearnerShape
from semprune.errors import BackboneMismatchError, ConfigurationError, CorruptArtefactError, FittedDocumentError
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


def test_no_flipped_bit_of_an_association_changes_what_is_loaded(tmp_path):
    lm = tiny_lm()
    made = replace(association_of(lm, torch.ones(sum(site.width for site in lm.sites), 2)), fitted=fitted("a", "b"))
    made.save(tmp_path / "x")
    content = (tmp_path / "x").read_bytes()
    for place in torch.randperm(len(content), generator=torch.Generator().manual_seed(0))[:300].tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        (tmp_path / "x").write_bytes(damaged)
        try:
            load_association(tmp_path / "x").save(tmp_path / "y")
        except CorruptArtefactError as error:
            assert "Fit again" in str(error)  # noqa: PT017  # most flips are refused, the others change nothing
        else:
            assert (tmp_path / "y").read_bytes() == content


def test_an_association_of_before_there_were_hashes_is_loaded(tmp_path, caplog):
    lm = tiny_lm()
    made = association_of(lm, torch.ones(sum(site.width for site in lm.sites), 2))
    made.save(tmp_path / "x")
    with safe_open(tmp_path / "x", framework="pt") as file:
        header = json.loads(file.metadata()[FORMAT])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # safe_open is no mapping
    del header["sha256"], header["tensors"], header["fingerprint"]["configuration_sha256"]
    save_file(tensors, tmp_path / "x", {FORMAT: json.dumps(header)})
    with caplog.at_level("INFO", "semprune"):
        old = load_association(tmp_path / "x")
    assert "cannot be verified" in caplog.text
    old.require(lm.fingerprint)
    with pytest.raises(BackboneMismatchError):
        made.require(replace(lm.fingerprint, configuration_sha256="other"))


def test_a_concept_that_is_called_like_a_class_is_refused():
    with pytest.raises(ConfigurationError, match=r"two concepts are called films\.good: .*Rename the file"):
        LearnerShape(("films.good", "b"), ("films.bad", "films.good"), ("films",), 8, 10)


def test_a_fit_is_not_resumed_on_other_documents():
    mark = Fingerprint("Toy", "memory", "0" * 64)
    stored = StoredFit(LearnerShape(("c",), (), ("films",), 8, 10), mark, {}, fitted("a", "b"))
    checkpoint = {}
    stored.add_to(checkpoint)
    back = StoredFit.of(checkpoint)
    back.require(mark, stored.shape, fitted("b", "a"))
    with pytest.raises(ConfigurationError, match="2 documents that are not the 1 of this run"):
        back.require(mark, stored.shape, fitted("a"))
