"""A default concept that no document has is left out; one that was named is an error."""

import logging

import pytest
import torch
from tests.integration.tiny import TinyData, tiny_backbone, tiny_trainer

from semprune.attribution import NeuronSemanticAttribution
from semprune.attribution.fit.evidence import evidence, fittable_concepts
from semprune.concepts import load_concepts
from semprune.errors import ConceptWithoutEvidenceError

FEW = ("sentiment.positive", "language.negation", "empath.tool", "empath.crime")


@pytest.fixture(scope="module")
def lm():
    return tiny_backbone()


@pytest.fixture(autouse=True)
def few_defaults(monkeypatch):
    for home in ("semprune.concepts.registry", "semprune.attribution.fit.evidence"):
        monkeypatch.setattr(f"{home}.DEFAULT_CONCEPTS", FEW)


def test_evidence_is_the_number_of_tokens_with_the_concept_and_draws_nothing(lm):
    before = torch.random.get_rng_state()
    found = evidence(lm, load_concepts(["language.negation", "empath.crime"]), TinyData(lm).train_dataloader())
    assert found == {"language.negation": 36, "empath.crime": 0}  # not, never: in four of eight texts, nine times
    assert torch.equal(torch.random.get_rng_state(), before)


def test_default_concepts_without_evidence_are_left_out_and_named(lm, caplog):
    with caplog.at_level(logging.WARNING):
        names = fittable_concepts(lm, ["default"], TinyData(lm).train_dataloader())
    assert names == ("sentiment.positive", "language.negation")
    assert "left out, as no fitting document holds their words: empath.tool, empath.crime." in caplog.text
    asked = ["default", "empath.crime"]
    assert fittable_concepts(lm, asked, TinyData(lm).train_dataloader()) == (*names, "empath.crime")
    assert fittable_concepts(lm, ["empath.crime"], iter(())) == ("empath.crime",)


@pytest.mark.parametrize(("asked", "fits"), [(["default"], True), (["default", "empath.crime"], False)])
def test_a_fit_goes_on_without_default_concepts_and_stops_for_a_named_one(lm, tmp_path, asked, fits):
    module = NeuronSemanticAttribution("tiny", concepts=asked, decoder_neurons=8, sample_tokens=64)
    module.lm = lm
    trainer = tiny_trainer(tmp_path, max_epochs=2)
    if not fits:
        with pytest.raises(ConceptWithoutEvidenceError, match=r"observations for: empath\.crime\. "):
            trainer.fit(module, datamodule=TinyData(lm))
        return
    trainer.fit(module, datamodule=TinyData(lm))
    assert module.association().concepts == ("sentiment.positive", "language.negation", *TinyData.classes)
    assert [concept.name for concept in module.labeller.concepts] == ["sentiment.positive", "language.negation"]
