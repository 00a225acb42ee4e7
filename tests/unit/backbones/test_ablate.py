"""Holding a neuron equals cutting its column and adding its constant contribution as a bias."""

import copy

import pytest
import torch
from torch import nn

from semprune.backbones import ablate, capture, neuron_sites, patch
from semprune.backbones.layout import family_of
from semprune.errors import CaptureError, UnknownArchitectureError

NEURONS = torch.tensor([2, 7, 23])
VALUES = torch.tensor([0.5, -1.0, 3.0])


def _reference(model, layer):
    """Return a copy whose down-projection of one block does not read the neurons and adds their constants instead."""
    edited = copy.deepcopy(model)
    down = edited.get_submodule(neuron_sites(model, family_of(model))[layer].module)
    weight = down.weight.data.T if isinstance(down, nn.Linear) else down.weight.data  # [width, hidden], a view
    constant = VALUES.to(weight.dtype) @ weight[NEURONS]
    weight[NEURONS] = 0.0
    bias = getattr(down, "bias", None)
    down.bias = nn.Parameter(constant + (0.0 if bias is None else bias.data))
    return edited


@pytest.mark.parametrize("layer", [0, 1])
def test_held_neurons_equal_a_cut_column_with_a_bias(model, input_ids, layer):
    model.double()  # float64: what is left of a difference is not rounding
    with torch.no_grad():
        expected = _reference(model, layer)(input_ids).logits
        dense = model(input_ids).logits
        with ablate(model, {f"layers.{layer}.mlp": (NEURONS, VALUES)}):
            held = model(input_ids).logits
        after = model(input_ids).logits
    torch.testing.assert_close(held, expected, rtol=1e-12, atol=1e-12)
    assert (held - dense).abs().max() > 1e-6
    assert torch.equal(after, dense)


def test_several_sites_in_one_forward(model, input_ids):
    model.double()
    with torch.no_grad(), ablate(model, {"layers.0.mlp": (NEURONS, VALUES), "layers.1.mlp": (NEURONS, VALUES)}):
        held = model(input_ids).logits
    both = _reference(_reference(model, 0), 1)
    with torch.no_grad():
        torch.testing.assert_close(held, both(input_ids).logits, rtol=1e-12, atol=1e-12)


def test_capture_inside_sees_the_held_values(model, input_ids):
    seen = {}
    sites = neuron_sites(model, family_of(model))
    with (
        ablate(model, {"layers.1.mlp": (NEURONS, VALUES)}),
        capture(model, sites, lambda site, value: seen.update({site.name: value})),
    ):
        model(input_ids)
    assert torch.equal(seen["layers.1.mlp"][..., NEURONS], VALUES.expand(3, 5, 3))
    assert not torch.equal(seen["layers.0.mlp"][..., NEURONS], VALUES.expand(3, 5, 3))


def test_values_are_cast_to_the_model(llama, input_ids):
    llama.bfloat16()
    with torch.no_grad(), ablate(llama, {"layers.0.mlp": (NEURONS, VALUES)}):
        assert llama(input_ids).logits.dtype == torch.bfloat16


@pytest.mark.parametrize("replacements", [{}, {"layers.0.mlp": (NEURONS[:0], VALUES[:0])}])
def test_nothing_to_hold_changes_nothing(llama, input_ids, replacements):
    with torch.no_grad():
        dense = llama(input_ids).logits
        with ablate(llama, replacements):
            assert torch.equal(llama(input_ids).logits, dense)


def test_hooks_are_gone_after_an_exception(llama):
    with pytest.raises(ZeroDivisionError), ablate(llama, {"layers.0.mlp": (NEURONS, VALUES)}):
        raise ZeroDivisionError
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in llama.modules())


def test_nothing_ran(llama):
    with (
        pytest.raises(CaptureError, match=r"nothing ran through layers\.0\.mlp"),
        ablate(llama, {"layers.0.mlp": (NEURONS, VALUES)}),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "neurons", "values", "message"),
    [
        ("layers.2.mlp", [0], [1.0], "there is no site 'layers.2.mlp'"),
        ("layers.0.mlp", [24], [1.0], "outside 0 … 23"),
        ("layers.0.mlp", [-1], [1.0], "outside 0 … 23"),
        ("layers.0.mlp", [0, 1], [1.0], r"\(2,\) neurons but \(1,\) values"),
    ],
)
def test_what_cannot_be_held_is_refused(llama, name, neurons, values, message):
    with (
        pytest.raises(CaptureError, match=message),
        ablate(llama, {name: (torch.tensor(neurons), torch.tensor(values))}),
    ):
        pytest.fail("entered")


def test_unknown_model():
    with pytest.raises(UnknownArchitectureError, match="'Linear'"), ablate(nn.Linear(2, 2), {}):
        pytest.fail("entered")


def _seen(model, input_ids):
    """Activations of every site in one forward."""
    seen = {}
    with capture(model, neuron_sites(model, family_of(model)), lambda s, value: seen.update({s.name: value.clone()})):
        logits = model(input_ids).logits
    return seen, logits


def test_all_neurons_of_a_layer_patched_from_another_model_give_that_models_mlp(model, input_ids):
    """A donor that differs only in how its first MLP's neurons are made: patched whole, nothing of that is left."""
    model.double()
    donor = copy.deepcopy(model)
    site = neuron_sites(model, family_of(model))[0]
    down = site.module.rsplit(".", 1)[1]
    with torch.no_grad():
        for name, parameter in donor.get_submodule(site.module.rsplit(".", 1)[0]).named_parameters():
            if not name.startswith(down):
                parameter.mul_(0.5)
        values, wanted = _seen(donor, input_ids)
        own = model(input_ids).logits
        everything = torch.arange(site.width)
        with patch(model, {site.name: (everything, values[site.name])}):
            patched = model(input_ids).logits
    assert (own - wanted).abs().max() > 1e-4
    torch.testing.assert_close(patched, wanted, rtol=1e-12, atol=1e-12)


def test_only_the_wanted_positions_are_patched(model, input_ids):
    where = torch.zeros(input_ids.shape, dtype=torch.bool)
    where[1, 3] = True
    values = torch.full((*input_ids.shape, 3), 2.0)
    with torch.no_grad():
        before, _ = _seen(model, input_ids)
        with patch(model, {"layers.0.mlp": (NEURONS, values)}, where):
            after, _ = _seen(model, input_ids)
    changed = (before["layers.0.mlp"] != after["layers.0.mlp"]).nonzero().tolist()
    assert changed == [[1, 3, neuron] for neuron in NEURONS.tolist()]
    assert (after["layers.0.mlp"][1, 3, NEURONS] == 2).all()


@pytest.mark.parametrize(
    ("shape", "where", "said"),
    [
        ((2, 4, 3), None, "values of a batch"),
        ((3, 5, 3), (2, 5), "values of a batch"),
        ((3, 5, 2), None, "3.* neurons but"),
    ],
)
def test_values_of_another_batch_are_refused(model, input_ids, shape, where, said):
    assert input_ids.shape == (3, 5)
    wanted = None if where is None else torch.ones(where, dtype=torch.bool)
    with (
        pytest.raises(CaptureError, match=said),
        torch.no_grad(),
        patch(model, {"layers.0.mlp": (NEURONS, torch.zeros(shape))}, wanted),
    ):
        model(input_ids)
