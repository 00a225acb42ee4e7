"""An association with a number that is none is written nowhere."""

import dataclasses

import pytest
import torch
from tests.unit.attribution.worlds import CONCEPTS, association_of, fitted_learner, planted_lm, tiny_lm

from semprune.attribution import NeuronSemanticAttribution, load_association
from semprune.attribution.ablation.neuron_sets import combined_strength
from semprune.attribution.rankings import find_ranking
from semprune.errors import NoGatesError, NonFiniteError


@pytest.mark.parametrize("name", ["matrix", "t", "q", "any_concept", "mean", "rms"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_nothing_that_is_not_finite_is_saved(tmp_path, name, value):
    lm = tiny_lm()
    whole = association_of(lm, torch.ones(sum(site.width for site in lm.sites), len(CONCEPTS)))
    whole.save(tmp_path / "whole.safetensors")
    assert torch.equal(load_association(tmp_path / "whole.safetensors").matrix, whole.matrix)
    broken = getattr(whole, name).clone()
    broken.view(-1)[3] = value
    with pytest.raises(NonFiniteError, match=f"`{name}` of the association"):
        dataclasses.replace(whole, **{name: broken}).save(tmp_path / "broken.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["whole.safetensors"]


def test_a_fit_that_diverged_gives_no_checkpoint():
    from tests.unit.attribution.worlds import observed

    module = NeuronSemanticAttribution(learning_rate=1e6)
    module.lm = planted_lm()
    module.learner = fitted_learner(module.lm, [observed().batch])
    with torch.no_grad():
        module.learner.token.coefficients[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"Lower `model\.learning_rate`"):
        module.on_save_checkpoint({"state_dict": {}})


def with_gates(lm):
    """Gates of the second of two concepts, whose last neurons are the strongest."""
    neurons = sum(site.width for site in lm.sites)
    plain = association_of(lm, torch.ones(neurons, len(CONCEPTS)))
    scores = torch.stack([torch.full((neurons,), torch.nan), torch.arange(neurons).float()], dim=1)
    return plain, dataclasses.replace(plain, gates=scores)


def test_gates_are_kept_with_the_association_and_name_its_neurons(tmp_path):
    plain, whole = with_gates(tiny_lm())
    whole.save(tmp_path / "whole.safetensors")
    loaded, last = load_association(tmp_path / "whole.safetensors"), len(plain.rms) - 1
    assert torch.equal(loaded.gates.nan_to_num(-1), whole.gates.nan_to_num(-1))
    assert loaded.gated_concepts == CONCEPTS[1:]
    size, found = f"{len(plain.rms)} neurons × 2 concepts", f"{plain.gate.sum()} discoveries"
    assert repr(loaded) == f"Association({plain.settings['backbone']}: {size}, {found}; gates of {CONCEPTS[1]})"
    assert loaded.top(CONCEPTS[1], 2, by="gates") == [plain.neurons[last], plain.neurons[last - 1]]
    assert torch.equal(loaded.ranking(CONCEPTS[1], "gates"), whole.gates[:, 1])
    assert torch.equal(combined_strength(loaded, CONCEPTS, "gates"), whole.gates[:, 1])
    assert find_ranking("gates").needs == "association"
    with pytest.raises(NoGatesError, match=f"no gates were learned for '{CONCEPTS[0]}'; learned: {CONCEPTS[1]}"):
        loaded.top(CONCEPTS[0], by="gates")


def test_an_association_without_gates_is_read_as_ever(tmp_path):
    plain, _ = with_gates(tiny_lm())
    plain.save(tmp_path / "plain.safetensors")
    loaded = load_association(tmp_path / "plain.safetensors")
    assert loaded.gates is None
    assert loaded.gated_concepts == ()
    with pytest.raises(NoGatesError, match="learned: none"):
        combined_strength(loaded, CONCEPTS, "gates")


def test_gates_that_are_not_finite_are_not_saved(tmp_path):
    _, whole = with_gates(tiny_lm())
    whole.gates[3, 1] = torch.nan
    with pytest.raises(NonFiniteError, match="`gates` of the association"):
        whole.save(tmp_path / "broken.safetensors")
