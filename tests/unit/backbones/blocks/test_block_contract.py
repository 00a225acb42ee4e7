"""Contract of every family: running its blocks one by one is running the model, and watching changes nothing."""

from contextlib import ExitStack

import pytest
import torch
from tests.unit.backbones import tiny

from semprune.backbones import ablate, capture, neuron_sites
from semprune.backbones.blocks.calls import replaced_forward
from semprune.backbones.blocks.experts import routed_forward
from semprune.backbones.blocks.runner import BlockRunner, calibrating
from semprune.backbones.layout import decoder_layers, family_of
from semprune.errors import CaptureError

IDS = torch.randint(3, 40, (3, 8), generator=torch.Generator().manual_seed(3))
RIGHT = torch.tensor([[1] * 8, [1] * 5 + [0] * 3, [1] * 3 + [0] * 5])
LEFT = RIGHT.flip(-1)
# A sum of n values is rounded by n eps of the largest at most: here by two blocks whose sums run over the width of 16.
# A token's small values are sums of its large ones, so that its largest counts. Measured: at most 15 eps of it;
# Nemotron, whose squares reach 72, differs by 6e-5 in float32 and by 4e-14 in float64.
ROUNDING = 2 * 16 * torch.finfo(torch.float32).eps
every_variant = pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)


def _layers(model):
    return decoder_layers(model, family_of(model))


def _whole(model, ids, mask):
    """What the last block hands on and the logits, of the model's own forward."""
    seen = []
    hook = _layers(model)[-1].register_forward_hook(
        lambda module, args, output: seen.append(output if isinstance(output, torch.Tensor) else output[0])
    )
    with torch.no_grad():
        logits = model(ids, attention_mask=mask, use_cache=False).logits
    hook.remove()
    return seen[0], logits


def _block_by_block(model, ids, mask, batch_size):
    layers = _layers(model)
    with calibrating(model):
        runner = BlockRunner(model, layers, ids, attention_mask=mask, batch_size=batch_size)
        for index in range(len(layers)):
            runner.run(index, advance=False)  # a pass whose outputs are dropped changes nothing
            runner.run(index, advance=True)
        return runner.hidden, _from_hidden(model, runner.hidden, ids, mask)


def _from_hidden(model, hidden, ids, mask):
    """What the model's own final norm and head make of hidden states."""
    last = _layers(model)[-1]
    original = last.forward

    def stand_in(*args, **kwargs):
        output = original(*args, **kwargs)
        return hidden if isinstance(output, torch.Tensor) else (hidden, *output[1:])

    with replaced_forward(last, stand_in):
        return model(ids, attention_mask=mask, use_cache=False).logits


@every_variant
@pytest.mark.parametrize("mask", [None, RIGHT], ids=["full", "padded right"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_blocks_one_by_one_give_the_models_hidden_states_and_logits(architecture, variant, mask, batch_size):
    model = tiny.make_model(architecture, variant)
    hidden, logits = _block_by_block(model, IDS, mask, batch_size)

    for start in range(0, 3, batch_size):
        rows = slice(start, start + batch_size)
        length = IDS.shape[1] if mask is None else int(mask[rows].sum(1).max())  # behind it nothing is computed
        expected = _whole(model, IDS[rows, :length], None if mask is None else mask[rows, :length])
        assert torch.equal(hidden[rows, :length], expected[0])
        if batch_size == 3:
            assert torch.equal(logits, expected[1])
        else:
            torch.testing.assert_close(
                logits[rows, :length], expected[1], rtol=1e-5, atol=1e-5
            )  # head of a larger batch


@every_variant
@pytest.mark.parametrize("mask", [RIGHT, LEFT], ids=["padded right", "padded left"])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("attention", ["its own", "eager"])
def test_a_padded_token_has_what_it_has_alone(architecture, variant, mask, batch_size, attention):
    """Up to rounding, since sums over another number of rows are made by another kernel, in another order.

    In float32: several models' masks turn into NaN in float64, where their softmax stays float32.
    """
    model = tiny.make_model(architecture, variant)
    if attention == "eager":
        model.set_attn_implementation("eager")
    hidden, _ = _block_by_block(model, IDS, mask, batch_size)

    for row in range(3):
        real = mask[row].bool()
        alone, _ = _whole(model, IDS[row : row + 1, real], None)
        error = (hidden[row, real] - alone[0]).abs().amax(-1)  # [tokens]
        assert (error <= ROUNDING * alone[0].abs().amax(-1)).all()


@every_variant
def test_capture_leaves_the_logits_bit_equal(architecture, variant):
    model = tiny.make_model(architecture, variant)
    sites = neuron_sites(model, family_of(model), _kinds(model))
    seen = []
    _, before = _whole(model, IDS, None)
    with capture(model, sites, lambda site, value: seen.append((site.name, value.shape))):
        _, inside = _whole(model, IDS, None)

    assert torch.equal(before, inside)
    assert sorted(seen) == sorted((site.name, (3, 8, site.width)) for site in sites)


@every_variant
def test_a_held_neuron_is_seen_as_held_and_changes_the_logits(architecture, variant):
    model = tiny.make_model(architecture, variant)
    for kind in _kinds(model):
        site = neuron_sites(model, family_of(model), (kind,))[0]
        neuron, seen = torch.tensor([site.width - 1]), []
        _, dense = _whole(model, IDS, None)
        with ablate(model, {site.name: (neuron, torch.tensor([0.75]))}):
            hidden, held = _whole(model, IDS, None)
            with capture(model, [site], lambda _, value: seen.append(value[..., -1].clone())):  # noqa: B023
                _whole(model, IDS, None)

        assert torch.equal(seen[0], torch.full((3, 8), 0.75))
        assert (held - dense).abs().max() > 1e-4
        assert hidden.isfinite().all()


def _kinds(model):
    return ("attention",) if _experts(model) else ("mlp", "attention")


def _experts(model):
    return [module for name, module in model.named_modules() if name.endswith(".experts")]


ROUTED = [pair for pair in tiny.VARIANTS if _experts(tiny.make_model(*pair))]


def test_there_are_routed_families():
    assert {architecture for architecture, _ in ROUTED} >= {"MixtralForCausalLM", "Qwen3MoeForCausalLM"}


@pytest.mark.parametrize(("architecture", "variant"), ROUTED)
@pytest.mark.parametrize("implementation", ["eager", "grouped_mm", "batched_mm"])
def test_one_expert_at_a_time_is_the_experts_modules_own_forward(architecture, variant, implementation):
    model = tiny.make_model(architecture, variant)
    model.set_experts_implementation(implementation)
    shown = []
    _, expected = _whole(model, IDS, None)
    with ExitStack() as stack:
        for experts in _experts(model):
            forward = routed_forward(experts, lambda *call: shown.append(call))
            stack.enter_context(replaced_forward(experts, forward))
        _, logits = _whole(model, IDS, None)

    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    assert len(shown) == 2 * 4 * len(_experts(model))  # two matrices of four experts
    routed = [tokens for name, _, _, tokens in shown if name == "down_proj"]
    assert sum(len(tokens) for tokens in routed) == 2 * IDS.numel() * len(_experts(model))  # each token to two
    assert all((tokens.diff() > 0).all() for tokens in routed)


def test_experts_of_an_unknown_kind_are_refused():
    with pytest.raises(CaptureError, match="Linear does not say how its experts are stored"):
        routed_forward(torch.nn.Linear(2, 2), lambda *_: None)
