"""Permutation nulls, control task and random-weight control, where the right answer is known."""

from dataclasses import replace

import pytest
import torch
from tests.planted.llama import NAMES, PlantedLlama
from tests.planted.world import World, WorldSize

from semprune.attribution.controls.control_task import (
    control_labeller,
    control_task,
    random_weight_control,
    random_weights,
)
from semprune.attribution.controls.permutation import PermutationNull, permutation_null
from semprune.attribution.fit.closed_form import fit_closed_form
from semprune.attribution.held_out.observations import Observations
from semprune.errors import ConceptWithoutEvidenceError, ConfigurationError, TooFewDocumentsError

SIZE = WorldSize(documents=120, layers=1, noise=40, exclusive=6, echo=4, shared=4, class_=6)


@pytest.fixture(scope="module")
def world():
    return World(SIZE, seed=4)


@pytest.fixture(scope="module")
def observations(world):
    learner = fit_closed_form(world.backbone(), world.labeller(), world.shape, world.batches)
    return Observations(world.backbone(), learner, world.labeller(), world.batches)


@pytest.fixture(scope="module")
def null(observations):
    return permutation_null(observations, permutations=60)


@pytest.fixture(scope="module")
def llama():
    return PlantedLlama()


def held_out(llama):
    return lambda: llama.batches(40, seed=7)


def test_the_true_labels_statistic_is_the_learners_own(observations, null):
    learner = observations.learner
    expected = torch.cat([learner.token.iid_t, learner.sequence.iid_t], dim=1)
    torch.testing.assert_close(null.observed, expected, rtol=1e-3, atol=1e-3)


def test_planted_pairs_get_the_smallest_p_and_others_any(world, null):
    truth = torch.cat([world.truth, world.class_truth], dim=1)
    nothing = (world.kind == 0) | (world.kind == 5)
    assert (null.p[truth] == 1 / 61).float().mean() > 0.95
    p = null.p[nothing]
    assert 0.45 < p.mean() < 0.57  # uniform: 0.508
    assert (p <= 0.05).float().mean() < 0.09


def test_standardised_by_its_own_null_the_statistic_agrees_with_the_clustered_t(world, observations, null):
    learner = observations.learner
    clustered = torch.cat([learner.token.t, learner.sequence.t], dim=1)
    weak = (clustered.abs() < 6) & (clustered != 0)
    assert torch.corrcoef(torch.stack([clustered[weak], null.z[weak]]))[0, 1] > 0.9


def test_p_and_z_by_hand():
    null = PermutationNull(
        torch.tensor([0]), torch.tensor([[2.0]]), torch.tensor([[[1.0]], [[-2.0]], [[0.0]], [[1.0]]])
    )
    assert null.p.item() == pytest.approx((1 + 1) / 5)  # one of four is as far from 0
    assert null.z.item() == pytest.approx((2 - 0) / 2**0.5)  # mean 0, deviation √(6 / 3)


def test_chosen_rows_get_what_they_get_among_all(observations, null):
    rows = torch.tensor([3, 41, 7])
    some = permutation_null(observations, rows, permutations=60)
    torch.testing.assert_close(some.null, null.null[:, rows], rtol=1e-3, atol=1e-3)


def test_too_few_documents_are_refused():
    world = World(WorldSize(documents=8, tokens=400), seed=0)
    learner = fit_closed_form(world.backbone(), world.labeller(), world.shape, world.batches)
    few = Observations(world.backbone(), learner, world.labeller(), world.batches)
    with pytest.raises(TooFewDocumentsError, match="more than 200 ways, and there are only 4 documents"):
        permutation_null(few, torch.tensor([0]), permutations=200)
    with pytest.raises(ConfigurationError, match="at least 1"):
        permutation_null(few, permutations=0)


def test_controls_are_other_words_of_about_the_same_frequency(llama):
    control = control_labeller(llama.labeller, llama.batches, len(llama.lm.tokenizer), seed=0)
    real, chance = torch.zeros(len(NAMES)), torch.zeros(len(NAMES))
    for batch in llama.batches():
        labels, others = (f(batch.input_ids, batch.attention_mask) for f in (llama.labeller, control))
        assert not (labels & others).any()
        real += labels.sum((0, 1))
        chance += others.sum((0, 1))
    assert (0.5 * real < chance).all()
    assert (chance < 2 * real).all()
    again = control_labeller(llama.labeller, llama.batches, len(llama.lm.tokenizer), seed=0)
    assert torch.equal(control.table, again.table)
    other = control_labeller(llama.labeller, llama.batches, len(llama.lm.tokenizer), seed=1)
    assert not torch.equal(control.table, other.table)


def test_planted_concepts_are_selective(llama):
    table = control_task(llama.lm, llama.labeller, llama.shape, llama.batches, held_out(llama))
    assert table["concept"].tolist() == list(NAMES)
    assert (table["average_precision"] > 0.95).all()
    assert (table["control"] < 0.5).all()  # no neuron knows these words from others
    assert (table["selectivity"] - (table["average_precision"] - table["control"])).abs().max() < 1e-6


def test_a_random_model_has_the_shape_and_nothing_else(llama):
    before = torch.random.get_rng_state()
    random = random_weights(llama.lm, seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert random.sites == llama.lm.sites
    assert random.fingerprint != llama.lm.fingerprint
    assert not random.model.training
    assert random_weights(llama.lm, seed=3).fingerprint == random.fingerprint


def test_a_random_model_reads_concepts_worse(llama):
    table = random_weight_control(llama.lm, llama.labeller, llama.shape, llama.batches, held_out(llama))
    trained, random = (table.set_index("weights").loc[name] for name in ("trained", "random"))
    assert trained["average_precision"] > 0.95
    assert random["average_precision"] < trained["average_precision"] - 0.05


def test_a_concept_whose_words_do_not_occur_is_refused_by_name(llama):
    def without(ids, mask):
        labels = llama.labeller(ids, mask)
        labels[..., 1] = False
        return labels

    with pytest.raises(ConceptWithoutEvidenceError, match=r"for: planted\.animal"):
        fit_closed_form(llama.lm, without, llama.shape, llama.batches)


def test_a_constant_concept_is_refused_by_name(llama):
    def everywhere(ids, mask):
        labels = llama.labeller(ids, mask)
        labels[..., 2] = True
        return labels

    with pytest.raises(ConceptWithoutEvidenceError, match=r"for: planted\.weather"):
        fit_closed_form(llama.lm, everywhere, llama.shape, llama.batches)


def test_no_document_is_refused(llama):
    with pytest.raises(ConfigurationError, match="no document"):
        fit_closed_form(llama.lm, llama.labeller, replace(llama.shape), lambda: iter(()))
