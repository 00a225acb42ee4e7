"""Association, causal effect and semantic loss on a real Llama whose neurons are planted."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from scipy.stats import binom
from tests.planted.llama import NAMES, OTHERS, TARGETS, WIDTH, WORDS, PlantedLlama
from tests.planted.world import ranking_precision

from semprune.attribution.ablation.mediation import mediate
from semprune.attribution.ablation.neuron_sets import matched_random, mean_replacements
from semprune.attribution.association.score import NEURON_CLASSES
from semprune.attribution.fit import learner as learner_module
from semprune.attribution.fit.closed_form import decoder_precision, fit_closed_form
from semprune.attribution.fit.encoder import Encoder
from semprune.attribution.fit.fitted import fitted_association
from semprune.attribution.held_out.precision import LevelPrecision
from semprune.attribution.held_out.sums import HeldOutSums
from semprune.attribution.neurons.watch import token_evidence
from semprune.attribution.semantic_loss.concept_norms import ConceptNorms
from semprune.attribution.semantic_loss.damage import DenseReference, semantic_damage
from semprune.attribution.semantic_loss.pruned_weights import PrunedWeights
from semprune.attribution.semantic_loss.weights_only import weights_only_loss
from semprune.backbones import ablate
from semprune.backbones import hardware as precision
from semprune.concepts import TokenLabeller
from semprune.errors import BackboneMismatchError
from semprune.types import Item


@pytest.fixture(scope="module")
def world():
    return PlantedLlama()


@pytest.fixture(scope="module")
def learner(world):
    return fit_closed_form(world.lm, world.labeller, world.shape, world.batches)


@pytest.fixture(scope="module")
def association(world, learner):
    return fitted_association(learner, world.lm.fingerprint, {}, q=0.05)


@contextmanager
def applied(model, masks):
    """Weights under masks, restored afterwards."""
    before = {name: model.get_submodule(name).weight.detach().clone() for name in masks}
    try:
        for name, kept in masks.items():
            model.get_submodule(name).weight.data.mul_(kept)
        yield
    finally:
        for name, weight in before.items():
            model.get_submodule(name).weight.data.copy_(weight)


def held_out(world, learner):
    sums = HeldOutSums(learner)
    for batch in world.batches(80, seed=7):
        sums.add(world.lm, learner.labelled(batch, world.labeller))
    sums.finish()
    return sums


def loss_after(world, learner, association, masks):
    dense = held_out(world, learner)
    with applied(world.lm.model, masks):
        pruned = held_out(world, learner)
    table = semantic_damage(DenseReference(association, dense), pruned)
    return table[table["layer"] == -1].set_index("concept")["sl"]


def target_logprob(world):
    """Mean log-probability of each concept's target right after the concept's words."""
    total, count = torch.zeros(len(NAMES)), torch.zeros(len(NAMES))
    for batch in world.batches(40, seed=8):
        with torch.no_grad():
            logp = world.lm.model(batch.input_ids).logits.log_softmax(-1)[..., world.target]
        labels = world.labeller(batch.input_ids, batch.attention_mask)
        total += (logp * labels).sum((0, 1))
        count += labels.sum((0, 1))
    return total / count


def test_the_planted_model_speaks_of_a_concepts_target_after_its_words(world):
    others = torch.tensor(len(world.lm.tokenizer)).float().log()
    assert (target_logprob(world) > 2 - others).all()  # at least e² times the uniform probability


def test_the_association_finds_detectors_and_echoes(world, association):
    names = association.concepts
    for by in ("score", "strength", "t"):
        ranking = torch.stack([association.ranking(name, by) for name in names], dim=1)
        assert ranking_precision(ranking, world.planted).min() >= 0.95, by
    assert (association.gate & world.planted).sum() == world.planted.sum()
    noise = ~world.planted.any(1) & ~world.global_ & ~world.dead
    assert association.gate[noise].float().mean() <= 0.05  # all of these share the same few sources of noise


def test_of_all_discoveries_at_most_a_tenth_is_false():
    """At q = 0.05, over three models: chance, and what is not quite a straight line in a real forward."""
    false = found = 0
    for seed in range(3):
        world = PlantedLlama(seed)
        learner = fit_closed_form(world.lm, world.labeller, world.shape, world.batches)
        gate = fitted_association(learner, world.lm.fingerprint, {}, q=0.05).gate
        assert gate[world.planted].all()
        false, found = false + int((gate & ~world.planted).sum()), found + int(gate.sum())
    assert false <= 0.10 * found


def test_labels_of_other_documents_give_no_discoveries(world):
    """Through the real labeller and forward; of all families (layer × concept) a share of at most q has one."""
    families = discovered = 0
    for seed in range(3):
        ids = world.ids(160, 0)
        donor = ids[torch.randperm(160, generator=torch.Generator().manual_seed(seed))]
        other = {tuple(row): each for row, each in zip(ids.tolist(), donor, strict=True)}

        def labels(rows, mask, other=other):
            return world.labeller(torch.stack([other[tuple(row)] for row in rows.tolist()]), mask)

        learner = fit_closed_form(world.lm, labels, world.shape, world.batches)
        gate = fitted_association(learner, world.lm.fingerprint, {}, q=0.05).gate
        found = gate.view(2, WIDTH, -1).any(1)
        families, discovered = families + found.numel(), discovered + int(found.sum())
    assert discovered <= binom.ppf(0.95, families, 0.05)


def test_dead_neurons_are_listed_as_dead(world, association):
    assert torch.equal(association.neuron_class == NEURON_CLASSES.index("dead"), world.dead)


@pytest.mark.parametrize("concept", range(len(NAMES)))
def test_ablating_a_concepts_neurons_silences_its_target_alone(world, association, concept):
    chosen = world.planted[:, concept].nonzero()[:, 0]
    dense = target_logprob(world)
    with ablate(world.lm.model, mean_replacements(association, chosen)):
        drop = dense - target_logprob(world)
    random = matched_random(association, chosen, torch.Generator().manual_seed(0))
    random = random[~world.planted[random].any(1)]
    with ablate(world.lm.model, mean_replacements(association, random)):
        drop_random = dense - target_logprob(world)
    others = [c for c in range(len(NAMES)) if c != concept]
    assert drop[concept] > 1
    assert drop[others].abs().max() < 0.1 * drop[concept]
    assert drop_random.abs().max() < 0.1 * drop[concept]


@pytest.mark.parametrize("concept", range(len(NAMES)))
def test_removing_exactly_a_concepts_neurons_loses_it_and_nothing_else(world, learner, association, concept):
    loss = loss_after(world, learner, association, world.removal(world.planted[:, concept].nonzero()[:, 0]))
    others = [name for name in NAMES if name != NAMES[concept]]
    assert loss[NAMES[concept]] > 0.95
    assert (loss[others].abs() < 0.05).all()


@pytest.mark.parametrize("concept", range(len(NAMES)))
def test_the_weights_only_loss_of_a_removal_is_near_the_activation_based_one(world, learner, association, concept):
    masks = world.removal(world.planted[:, concept].nonzero()[:, 0])
    by_activation = loss_after(world, learner, association, masks)
    norms, dense = ConceptNorms(world.lm, len(NAMES)), held_out(world, learner)
    for batch in world.batches(80, seed=7):
        seen = learner.labelled(batch, world.labeller)
        with torch.no_grad(), norms.gathering(token_evidence(seen, 0), batch.cluster):
            world.lm.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    pruned = PrunedWeights(world.lm, masks)
    table = weights_only_loss(world.lm, association, norms, pruned, effects=dense.effects)
    by_weight = table[table["layer"] == -1].set_index("concept")["wsl"]
    assert by_weight[list(NAMES)].to_numpy() == pytest.approx(by_activation[list(NAMES)].to_numpy(), abs=0.05)


def test_planted_neurons_mediate_their_removal_and_no_others_do(world, association):
    """Silenced with half of all others: only their own dense activations bring back which target follows.

    What they write stays: an activation that nothing reads brings nothing back.
    """
    pair = NAMES[:2]
    carriers = world.planted[:, :2].any(1).nonzero()[:, 0]
    damaged = torch.cat([carriers, (~world.planted.any(1)).nonzero()[::2, 0]])
    ranking = sum(association.ranking(name).abs() for name in pair)
    assert set(ranking.topk(len(carriers)).indices.tolist()) == set(carriers.tolist())
    random, items = torch.Generator().manual_seed(3), []
    for number in range(60):
        rest = [OTHERS[int(torch.randint(len(OTHERS), (1,), generator=random))] for _ in range(6)]
        word = WORDS[number % 2][number // 2 % 4]
        requests = tuple((" ".join(["", *rest, word]), f" {target}") for target in TARGETS[:2])
        items.append(Item("movie_reviews", f"{number}", f"{number}", requests, number % 2, "planted"))
    broken = PlantedLlama()
    reads = {name: kept for name, kept in world.removal(damaged).items() if "down" not in name}
    with applied(broken.lm.model, reads):
        share = len(carriers) / len(ranking)
        table = mediate(world.lm, broken.lm, association, items, {"score": ranking}, share=share, draws=4)
    into = {name: rows.set_index("neurons") for name, rows in table.groupby("into")}
    for rows in into.values():
        assert rows.loc["chosen", "recovered"] >= 0.95
        assert abs(rows.loc["matched", "recovered"]) <= 0.05
        assert abs(rows.loc["others", "recovered"]) <= 0.05
        assert rows.loc["chosen", "dense"] == 1
        assert rows.loc["chosen", "pruned"] < 0.8


def test_an_identity_mask_loses_nothing(world, learner, association):
    loss = loss_after(world, learner, association, world.removal(torch.tensor([], dtype=torch.long)))
    assert loss.tolist() == [0.0] * len(NAMES)


def test_removing_half_of_the_detectors_loses_part_of_the_concept(world, learner, association):
    """The echoes lose their input, too: more than the detectors' own share, less than all."""
    detectors = world.planted[:, 0].nonzero()[:, 0]
    detectors = detectors[detectors < WIDTH][:1]
    loss = loss_after(world, learner, association, world.removal(detectors))
    weight = association.score[:, 0] / association.score[:, 0].sum()
    assert weight[detectors].sum() - 0.02 <= loss[NAMES[0]] < 0.95


def test_the_association_of_another_model_is_refused(association):
    with pytest.raises(BackboneMismatchError, match="LlamaForCausalLM"):
        association.require(PlantedLlama(seed=1).lm.fingerprint)


def test_a_single_concept_can_be_fitted_and_read(world):
    """ "Any concept" would be a copy of its label and take half of its effect."""
    labeller = TokenLabeller(world.labeller.concepts[:1], world.lm.tokenizer)
    shape = replace(world.shape, concepts=NAMES[:1])
    learner = fit_closed_form(world.lm, labeller, shape, world.batches)
    precision = decoder_precision(world.lm, learner, labeller, lambda: world.batches(40, seed=7))
    assert precision.shape == (1,)
    assert precision > 0.95
    reading = LevelPrecision()
    seen = learner.labelled(next(world.batches()), labeller)
    reading.update(learner.decoder_inputs(world.lm, seen)[0], seen.targets)
    by_set, by_neuron = reading.compute()
    assert by_set == pytest.approx([1.0])
    assert by_neuron == pytest.approx([1.0])
    assert learner.token.closed_form[1].abs().max() < 1e-9
    detector = learner.token.effect[0, 0]
    prevalence = learner.token_design.prevalence[0]
    # 6 (the clip) where the concept is, about 0 elsewhere: 6 √(π(1 − π))
    assert detector == pytest.approx(float(6 * (prevalence * (1 - prevalence)).sqrt()), rel=0.1)
    assert ranking_precision(learner.token.t, world.planted[:, :1]) > 0.95


def test_bfloat16_products_lose_less_than_bfloat16_activations_do(learner, monkeypatch):
    own = PlantedLlama()
    own.lm.model.bfloat16()
    fits = []
    for native in (False, True):  # the hardware's instruction: without it products are in fp32
        for user in (learner_module, precision):
            monkeypatch.setattr(user, "multiplies_bfloat16", lambda device, native=native: native)
        fits.append(fit_closed_form(own.lm, own.labeller, own.shape, own.batches).token)
    exact, quick = fits
    lost = (quick.effect - exact.effect).abs().max()

    assert exact.variance.shape == quick.variance.shape
    assert lost < 0.002
    assert lost < (exact.effect - learner.token.effect).abs().max()
    torch.testing.assert_close(quick.variance.sqrt(), exact.variance.sqrt(), rtol=0.01, atol=1e-4)


def test_sums_of_a_bfloat16_fit_are_not_rounded_by_amx(monkeypatch):
    """Rounded regressors would not be those of the Gram matrix, which is exact: effects were off by up to .04."""
    own, seen = PlantedLlama(), []
    own.lm.model.bfloat16()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "amx_tile": True, "amx_bf16": True})
    precision.onednn_keeps_fp32.cache_clear()
    add = Encoder.add_targets

    def watched(*args, **kwargs):
        seen.append(torch.backends.mkldnn.matmul.fp32_precision)
        add(*args, **kwargs)

    monkeypatch.setattr(Encoder, "add_targets", watched)
    fit_closed_form(own.lm, own.labeller, own.shape, own.batches)
    precision.onednn_keeps_fp32.cache_clear()
    assert set(seen) == {"ieee"}
