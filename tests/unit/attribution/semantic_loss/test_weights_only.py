"""The weights-only loss against slow loops, closed cases, and the activation-based loss on planted neurons."""

import pytest
import torch
from tests.unit.attribution.worlds import (
    CLASSES,
    CONCEPTS,
    PLANTED,
    association_of,
    fitted,
    fitted_learner,
    label_tokens,
    observed,
    planted_lm,
    tiny_lm,
)

from semprune.attribution.held_out.sums import HeldOutSums
from semprune.attribution.neurons.watch import token_evidence
from semprune.attribution.semantic_loss.association_loss import semantic_weights
from semprune.attribution.semantic_loss.concept_norms import ConceptNorms
from semprune.attribution.semantic_loss.damage import DenseReference, semantic_damage
from semprune.attribution.semantic_loss.pruned_weights import PrunedWeights
from semprune.attribution.semantic_loss.weights_only import neuron_survival, weights_only_loss
from semprune.errors import CaptureError, SettingError
from semprune.pruning.weights.linear import stored_weight

ARCHITECTURES = ["LlamaForCausalLM", "GPT2LMHeadModel", "Phi3ForCausalLM", "OPTForCausalLM"]


def run(lm, norms, seen):
    evidence = token_evidence(seen, 0)
    with torch.no_grad(), norms.gathering(evidence, seen.batch.cluster):
        lm.model(input_ids=seen.batch.input_ids, attention_mask=seen.batch.attention_mask)
    return evidence


def random_masks(lm, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {m.name: torch.rand(stored_weight(lm.model, m.name).shape, generator=generator) > 0.4 for m in lm.matrices}


def slow_squares(lm, seen, evidence):
    """`Σ_{t∈c} x_ti²` by loops over documents, tokens and concepts, from inputs hooked one by one."""
    readers = [m for m in lm.matrices if m.role in ("up", "gate_up")]
    kept = {}
    hooks = [
        lm.model.get_submodule(m.name).register_forward_pre_hook(
            lambda _, args, m=m: kept.__setitem__(m.layer, args[0].double())
        )
        for m in readers
    ]
    with torch.no_grad():
        lm.model(input_ids=seen.batch.input_ids, attention_mask=seen.batch.attention_mask)
    for hook in hooks:
        hook.remove()
    width = kept[0].shape[-1]
    out = torch.zeros(len(readers), len(CONCEPTS), width, dtype=torch.float64)
    documents, tokens, _ = evidence.shape
    for layer, inputs in kept.items():
        inputs = inputs.reshape(documents, tokens, width)
        for d in range(documents):
            for t in range(tokens):
                for c in range(len(CONCEPTS)):
                    if evidence[d, t, c]:
                        out[layer, c] += inputs[d, t] ** 2
    return out


def slow_survival(lm, masks, squares):
    """equations.md L4 as it is written, neuron by neuron, in float64."""
    out = []
    for site in lm.sites:
        own = {m.role: m for m in lm.matrices if m.layer == site.layer}
        oriented = {}
        for role, matrix in own.items():
            weight, mask = stored_weight(lm.model, matrix.name).double(), masks[matrix.name]
            oriented[role] = (weight.T, mask.T) if matrix.transposed else (weight, mask)
        if "gate_up" in own:
            weight, mask = oriented["gate_up"]
            oriented["gate"] = (weight[: site.width], mask[: site.width])
            oriented["up"] = (weight[site.width :], mask[site.width :])
        rows = [role for role in ("gate", "up") if role in oriented]
        for j in range(site.width):
            weight, mask = oriented["down"]
            write = weight[mask[:, j], j].square().sum() / weight[:, j].square().sum()
            for c in range(len(CONCEPTS)):
                product = write
                for role in rows:
                    weight, mask = oriented[role]
                    terms = (weight[j].abs() * squares[site.layer, c].sqrt()) ** 2
                    product = product * terms[mask[j]].sum() / terms.sum()
                out.append(float(product) ** (1 / (1 + len(rows))))
    return torch.tensor(out).view(-1, len(CONCEPTS))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_norms_and_survival_equal_slow_loops(architecture):
    lm, seen = tiny_lm(architecture), observed(8)
    norms = ConceptNorms(lm, len(CONCEPTS))
    evidence = run(lm, norms, seen)
    expected = slow_squares(lm, seen, evidence)
    torch.testing.assert_close(norms.without(), expected, rtol=1e-5, atol=1e-6)
    masks = random_masks(lm)
    found = neuron_survival(lm, lm.sites, PrunedWeights(lm, masks), norms.without())
    torch.testing.assert_close(found, slow_survival(lm, masks, expected), rtol=1e-4, atol=1e-5)


def test_batches_add_up_and_blocks_leave_out_their_documents():
    lm, seen, other = tiny_lm(), observed(8, padded=False), observed(8, seed=1, padded=False)
    other.batch.cluster = other.batch.cluster + 4
    both, one = ConceptNorms(lm, 2), ConceptNorms(lm, 2)
    run(lm, both, seen)
    run(lm, both, other)
    run(lm, one, other)
    without = sum(both.squares[block] for block in range(4, 8))
    torch.testing.assert_close(without, one.without())
    assert both.tokens.sum() == token_evidence(seen, 0).sum() + token_evidence(other, 0).sum()


def test_an_identity_mask_loses_nothing_and_removing_everything_loses_all():
    lm, seen = tiny_lm(), observed()
    norms = ConceptNorms(lm, 2)
    run(lm, norms, seen)
    association = association_of(lm, torch.ones(sum(s.width for s in lm.sites), 2))
    for value, wsl in ((True, 0.0), (False, 1.0)):
        masks = {name: torch.full_like(mask, value) for name, mask in random_masks(lm).items()}
        table = weights_only_loss(lm, association, norms, PrunedWeights(lm, masks))
        assert table["wsl"].to_numpy() == pytest.approx(wsl, abs=1e-6)
        assert table["wsl_high"].to_numpy() == pytest.approx(wsl, abs=1e-6)


def test_changed_weights_count_by_their_difference():
    lm, seen = tiny_lm(), observed()
    norms = ConceptNorms(lm, 2)
    run(lm, norms, seen)
    masks = random_masks(lm)
    weights = {name: stored_weight(lm.model, name) * mask for name, mask in masks.items()}
    moved = {name: weight * 1.1 for name, weight in weights.items()}
    by_mask, by_weight, by_moved = (
        neuron_survival(lm, lm.sites, PrunedWeights(lm, each), norms.without()) for each in (masks, weights, moved)
    )
    assert torch.equal(by_mask, by_weight)
    assert (by_moved < by_mask).all()
    scaled = {m.name: stored_weight(lm.model, m.name) * 0.9 for m in lm.matrices}
    found = neuron_survival(lm, lm.sites, PrunedWeights(lm, scaled), norms.without())
    torch.testing.assert_close(found, torch.full_like(found, 0.99))  # 1 − 0.1² of every part


def test_the_interval_covers_other_documents():
    lm = tiny_lm()
    association = association_of(lm, torch.eye(2).repeat(sum(s.width for s in lm.sites) // 2, 1))
    pruned = PrunedWeights(lm, random_masks(lm))
    tables = []
    for seed in range(2):
        norms = ConceptNorms(lm, 2)
        run(lm, norms, observed(160, seed=seed))
        tables.append(weights_only_loss(lm, association, norms, pruned))
    one, two = (table[table["layer"] == -1] for table in tables)
    assert (one["wsl_low"] < two["wsl_high"]).all()
    assert (two["wsl_low"] < one["wsl_high"]).all()
    assert (one["wsl_high"] - one["wsl_low"]).between(1e-5, 0.1).all()
    assert set(tables[0]["layer"]) == {-1, 0, 1}


def test_a_concept_without_tokens_has_no_loss_to_tell():
    lm, seen = tiny_lm(), observed()
    seen.labels[..., 1] = False
    norms = ConceptNorms(lm, 2)
    run(lm, norms, seen)
    association = association_of(lm, torch.ones(sum(s.width for s in lm.sites), 2))
    table = weights_only_loss(lm, association, norms, PrunedWeights(lm, random_masks(lm)))
    assert table.loc[table["concept"] == "blame", "wsl"].isna().all()
    assert table.loc[table["concept"] == "praise", "wsl"].notna().all()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("model.layers.0.mlp.gate", torch.ones(2, 2), "pruned weights must be of matrices of the backbone"),
        ("model.layers.0.mlp.gate_proj", torch.ones(2, 2), "masks or floating-point weights of shape"),
        ("model.layers.0.mlp.gate_proj", torch.ones(1, dtype=torch.long), "masks or floating-point weights"),
    ],
)
def test_weights_of_something_else_are_refused(name, value, said):
    with pytest.raises(SettingError, match=said):
        PrunedWeights(tiny_lm(), {name: value})


def test_a_forward_that_stops_early_is_seen():
    lm, seen = tiny_lm(), observed(4)
    norms = ConceptNorms(lm, 2)
    with pytest.raises(CaptureError, match="0 MLPs ran"), norms.gathering(token_evidence(seen, 0), seen.batch.cluster):
        pass


@pytest.fixture(scope="module")
def planted():
    lm = planted_lm()
    learner = fitted_learner(lm, [observed(60, 14, seed).batch for seed in range(4)])
    return lm, learner, fitted(lm, learner)


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("removed", list(PLANTED))
def test_it_is_near_the_activation_based_loss_where_one_concept_is_removed(planted, removed, share):
    lm, learner, association = planted
    rows = PLANTED[removed][: int(share * len(PLANTED[removed]))]
    masks = {}
    for name in ("gate_proj", "up_proj"):
        mask = torch.ones_like(stored_weight(lm.model, f"model.layers.0.mlp.{name}"), dtype=torch.bool)
        mask[rows] = False
        masks[f"model.layers.0.mlp.{name}"] = mask
    pruned = PrunedWeights(lm, masks)
    dense, after = HeldOutSums(learner), HeldOutSums(learner)
    norms = ConceptNorms(lm, len(association.concepts))
    for seed in range(10, 12):
        seen = learner.labelled(observed(60, 14, seed).batch, label_tokens)
        with norms.gathering(token_evidence(seen, len(CLASSES)), seen.batch.cluster):
            dense.add(lm, seen)
        with pruned.in_place():
            after.add(lm, seen)
    by_activation = semantic_damage(DenseReference(association, dense), after)
    by_weight = weights_only_loss(lm, association, norms, pruned, effects=dense.effects.cpu())
    both = by_activation.merge(by_weight, on=["concept", "layer"])
    whole = both[(both["layer"] == -1) & both["concept"].isin(PLANTED)]
    assert len(whole) == len(PLANTED)
    assert whole["wsl"].to_numpy() == pytest.approx(whole["sl"].to_numpy(), abs=0.05)
    weights = semantic_weights(association.score, dense.effects.cpu())
    expected = [float(weights[rows, association.column(name)].sum()) for name in whole["concept"]]
    assert whole["wsl"].to_numpy() == pytest.approx(expected, abs=1e-5)
    lost = dict(zip(whole["concept"], whole["sl"], strict=True))
    assert lost.pop(removed) > 0.6 * share > 0.05 > max(lost.values())
