"""Causal loss against finite differences in float64, and against the loss of the patched model."""

import numpy as np
import pytest
import torch
from tests.unit.attribution.worlds import CONCEPTS, association_of, observed, tiny_lm

from semprune.attribution.fit.learner import forward_sites
from semprune.attribution.gradients.objectives import label_log_odds, language_loss
from semprune.attribution.gradients.site_gradients import activation_gradients
from semprune.attribution.neurons.watch import token_evidence
from semprune.attribution.semantic_loss.causal_loss import CausalLoss
from semprune.attribution.semantic_loss.pruned_weights import PrunedWeights
from semprune.backbones.capture import site_hooks
from semprune.errors import NonFiniteError
from semprune.pruning.weights.linear import stored_weight


def wide_lm(architecture="LlamaForCausalLM"):
    lm = tiny_lm(architecture)
    lm.model.double()
    for name, module in list(lm.model.named_modules()):
        if type(module).__name__ == "LlamaRMSNorm":  # rounds to fp32 inside, whatever the model's dtype
            exact = torch.nn.RMSNorm(len(module.weight), module.variance_epsilon, dtype=torch.float64)
            exact.weight = module.weight
            lm.model.set_submodule(name, exact)
    lm.model.requires_grad_(False)
    return lm


def masks_of(lm, share=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {m.name: torch.rand(stored_weight(lm.model, m.name).shape, generator=generator) > share for m in lm.matrices}


def shifted(lm, site, delta, objective, batch):
    """The objective with something added to one site's activations."""

    def edit(_, activations):
        return activations + delta

    with torch.no_grad(), site_hooks(lm.model, [site], edit):
        return float(objective(lm, batch))


@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "GPT2LMHeadModel", "OPTForCausalLM"])
@pytest.mark.parametrize("objective", [language_loss, label_log_odds(2, 4)])
def test_gradients_equal_finite_differences(architecture, objective):
    lm, seen = wide_lm(architecture), observed(4, 6)
    pairs = activation_gradients(lm, lm.sites, lambda: objective(lm, seen.batch))
    generator = torch.Generator().manual_seed(1)
    for site in lm.sites:
        activations, gradient = pairs[site.name]
        direction = torch.randn(activations.shape, generator=generator, dtype=torch.float64)
        step = 1e-5
        up, down = (shifted(lm, site, sign * step * direction, objective, seen.batch) for sign in (1, -1))
        assert (up - down) / (2 * step) == pytest.approx(float((gradient * direction).sum()), rel=1e-6, abs=1e-8)
    assert not any(parameter.requires_grad for parameter in lm.model.parameters())


def slow_changes(lm, seen, evidence, pruned, concepts):
    """The definition, one token and concept at a time, from whole activations of both models."""
    dense = activation_gradients(lm, lm.sites, lambda: language_loss(lm, seen.batch))
    after = {}
    with pruned.in_place():
        forward_sites(lm, lm.sites, seen.batch, lambda site, h: after.__setitem__(site.name, h.clone()))
    out = []
    for site in lm.sites:
        before, gradient = dense[site.name]
        change = np.zeros((site.width, concepts))
        for d, t, c in evidence.nonzero().tolist():
            change[:, c] += (gradient[d, t] * (after[site.name][d, t] - before[d, t])).numpy()
        out.append(change)
    return np.concatenate(out)


def test_streaming_equals_the_definition_and_the_model_stays_dense():
    lm = wide_lm()
    masks = masks_of(lm)
    pruned = PrunedWeights(lm, masks)
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    association = association_of(lm, torch.ones(sum(s.width for s in lm.sites), 2))
    loss, expected, tokens = CausalLoss(lm, association, pruned), 0.0, 0
    for seed in range(2):
        seen = observed(6, seed=seed)
        evidence = token_evidence(seen, 0)
        loss.add(seen.batch, evidence)
        expected, tokens = expected + slow_changes(lm, seen, evidence, pruned, 2), tokens + evidence.sum((0, 1))
    expected = expected / tokens.numpy()
    np.testing.assert_allclose(loss.by_neuron.numpy(), expected, rtol=1e-9, atol=1e-12)
    table = loss.table()
    whole = table[table["layer"] == -1]
    np.testing.assert_allclose(whole["change"], expected.sum(0), rtol=1e-9)
    np.testing.assert_allclose(whole["causal_loss"], np.abs(expected.sum(0)), rtol=1e-9)
    np.testing.assert_allclose(whole["own_change"], expected.sum(0), rtol=1e-9)  # all neurons are discoveries
    first = table[table["layer"] == 0]
    np.testing.assert_allclose(first["change"], expected[: lm.sites[0].width].sum(0), rtol=1e-9)
    assert (whole["change_low"] < whole["change"]).all()
    assert all(torch.equal(before[name], value) for name, value in lm.model.state_dict().items())


def test_a_layers_loss_is_what_patching_it_does_to_first_order():
    """With weights scaled by a little, the model's own loss with one layer patched moves by the sum of D."""
    lm, seen = wide_lm(), observed(8, padded=False)
    site = lm.sites[1]
    evidence = torch.ones(*seen.valid.shape, 1, dtype=torch.bool)
    small = {m.name: stored_weight(lm.model, m.name) * (1 - 1e-6) for m in lm.matrices if m.layer == 1}
    pruned = PrunedWeights(lm, small)
    association = association_of(lm, torch.ones(sum(s.width for s in lm.sites), 1), ("everything",))
    loss = CausalLoss(lm, association, pruned)
    loss.add(seen.batch, evidence)
    held = {}
    for name, context in (("dense", PrunedWeights(lm, {}).in_place()), ("pruned", pruned.in_place())):
        with context:
            forward_sites(lm, [site], seen.batch, lambda _, h, name=name: held.__setitem__(name, h.clone()))
    moved = shifted(lm, site, held["pruned"] - held["dense"], language_loss, seen.batch)
    with torch.no_grad():
        dense = float(language_loss(lm, seen.batch))
    by_layer = loss.table().set_index("layer")["change"]
    assert by_layer[1] * evidence.sum().item() == pytest.approx(moved - dense, rel=1e-3)
    assert by_layer[0] == 0


def test_an_identity_mask_has_no_causal_loss_and_only_discoveries_count_as_own():
    lm, seen = wide_lm(), observed(6)
    effects = torch.zeros(sum(s.width for s in lm.sites), 2)
    effects[3, 0] = 1.0
    association = association_of(lm, effects)
    evidence = token_evidence(seen, 0)
    same = CausalLoss(lm, association, PrunedWeights(lm, {name: m | True for name, m in masks_of(lm).items()}))
    same.add(seen.batch, evidence)
    assert (same.table()["causal_loss"] == 0).all()
    other = CausalLoss(lm, association, PrunedWeights(lm, masks_of(lm)))
    other.add(seen.batch, evidence)
    own = other.table().query("layer == -1").set_index("concept")["own_change"]
    assert own["praise"] == pytest.approx(float(other.by_neuron[3, 0]))
    assert own["blame"] == 0
    assert len(CONCEPTS) == len(own)


def test_a_model_that_gives_nan_is_refused():
    lm, seen = wide_lm(), observed(4)
    with torch.no_grad():
        lm.model.get_output_embeddings().weight[0] = torch.nan
    with pytest.raises(NonFiniteError, match="causal loss"):
        activation_gradients(lm, lm.sites, lambda: language_loss(lm, seen.batch))
