"""Capture changes no logit, sees every site once per forward, and cleans up whatever happens."""

import pytest
import torch
from torch import nn

from semprune.backbones import capture, neuron_sites
from semprune.backbones.layout import family_of
from semprune.errors import CaptureError
from semprune.types import NeuronSite


def _sites(model):
    return neuron_sites(model, family_of(model))


def _ignore(site, activations):
    pass


def _hooks(model):
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules())


def test_logits_are_bit_equal(model, input_ids):
    with torch.no_grad():
        before = model(input_ids).logits
        with capture(model, _sites(model), _ignore):
            inside = model(input_ids).logits
        after = model(input_ids).logits
    assert torch.equal(before, inside)
    assert torch.equal(before, after)


def test_every_site_is_seen_once_per_forward_in_the_order_of_layers(model, input_ids):
    seen = []
    with capture(model, _sites(model), lambda site, value: seen.append((site.name, tuple(value.shape)))):
        model(input_ids)
        model(input_ids[:1, :4])
    one, two = (3, 5, 24), (1, 4, 24)
    assert seen == [("layers.0.mlp", one), ("layers.1.mlp", one), ("layers.0.mlp", two), ("layers.1.mlp", two)]


def test_llama_neurons_equal_the_gated_product(llama, input_ids):
    seen, inputs = {}, []
    mlp = llama.model.layers[1].mlp
    mlp.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    with torch.no_grad(), capture(llama, _sites(llama), lambda site, value: seen.update({site.name: value})):
        llama(input_ids)
        expected = nn.functional.silu(mlp.gate_proj(inputs[0])) * mlp.up_proj(inputs[0])
    torch.testing.assert_close(seen["layers.1.mlp"], expected)


def test_activations_are_detached(llama, input_ids):
    flags = []
    with capture(llama, _sites(llama), lambda site, value: flags.append(value.requires_grad)):
        assert llama(input_ids).logits.requires_grad
    assert flags == [False, False]


def test_body_without_the_head_counts_as_a_forward(model, input_ids):
    seen = []
    with capture(model, _sites(model), lambda site, value: seen.append(site.layer)):
        model.base_model(input_ids=input_ids)
    assert seen == [0, 1]


def test_chosen_sites_only(model, input_ids):
    seen = []
    with capture(model, _sites(model)[1:], lambda site, value: seen.append(site.layer)):
        model(input_ids)
    assert seen == [1]


def test_hooks_are_gone_afterwards(model, input_ids):
    before = _hooks(model)
    with capture(model, _sites(model), _ignore):
        assert _hooks(model) == before + 4  # two sites, begin and end of the body
        model(input_ids)
    assert _hooks(model) == before


def test_hooks_are_gone_after_an_exception_which_is_not_hidden(model):
    before = _hooks(model)
    with pytest.raises(ZeroDivisionError), capture(model, _sites(model), _ignore):
        raise ZeroDivisionError
    assert _hooks(model) == before


def test_hooks_are_gone_after_a_failing_consumer(model, input_ids):
    before = _hooks(model)

    def fail(site, activations):
        raise ValueError(site.name)

    with pytest.raises(ValueError, match=r"layers\.0\.mlp"), capture(model, _sites(model), fail):
        model(input_ids)
    assert _hooks(model) == before


def test_hooks_are_gone_when_a_later_site_is_unknown(llama):
    before = _hooks(llama)
    stranger = NeuronSite("layers.9.mlp", 9, "mlp", 24, "model.layers.9.mlp.down_proj")
    with (
        pytest.raises(CaptureError, match=r"has no module model\.layers\.9"),
        capture(llama, [*_sites(llama), stranger], _ignore),
    ):
        pytest.fail("entered")
    assert _hooks(llama) == before


def test_nothing_ran(model):
    with (
        pytest.raises(CaptureError, match=r"nothing ran through layers\.0\.mlp, layers\.1\.mlp"),
        capture(model, _sites(model), _ignore),
    ):
        pass


def test_forward_that_passes_a_site_by(llama, input_ids):
    llama.model.layers[1].mlp.forward = lambda hidden: hidden
    with (
        pytest.raises(CaptureError, match=r"a forward passed by layers\.1\.mlp"),
        capture(llama, _sites(llama), _ignore),
    ):
        llama(input_ids)


def test_site_that_runs_twice(llama, input_ids):
    mlp = llama.model.layers[0].mlp
    forward = mlp.forward
    mlp.forward = lambda hidden: forward(hidden) + forward(hidden)
    with pytest.raises(CaptureError, match=r"layers\.0\.mlp ran twice"), capture(llama, _sites(llama), _ignore):
        llama(input_ids)


def test_hooks_added_after_compilation_are_noticed(llama, input_ids):
    compiled = torch.compile(llama, backend="eager")
    with torch.no_grad():
        compiled(input_ids)
        with (
            pytest.raises(CaptureError, match=r"Capture before torch\.compile"),
            capture(llama, _sites(llama), _ignore),
        ):
            compiled(input_ids)


def test_no_sites(model):
    with pytest.raises(CaptureError, match="no sites"), capture(model, [], _ignore):
        pytest.fail("entered")


def test_site_of_another_model(llama, input_ids):
    wider = NeuronSite("layers.0.mlp", 0, "mlp", 99, "model.layers.0.mlp.down_proj")
    with pytest.raises(CaptureError, match="has width 24, expected 99"), capture(llama, [wider], _ignore):
        llama(input_ids)


class _Flattening(nn.Module):
    """Joins batch and tokens before its MLP, as OPT does."""

    def __init__(self):
        super().__init__()
        self.embed, self.down = nn.Embedding(11, 4), nn.Linear(4, 2)

    def forward(self, input_ids):
        hidden = self.embed(input_ids)
        return self.down(hidden.reshape(-1, 4)).reshape(*input_ids.shape, 2)


def test_flattened_activations_get_their_batch_back(input_ids):
    model, seen = _Flattening(), []
    site = NeuronSite("layers.0.mlp", 0, "mlp", 4, "down")
    with capture(model, [site], lambda site, value: seen.append(value)):
        model(input_ids)
    assert torch.equal(seen[0], model.embed(input_ids))
