"""Contract of every family: it is pruned exactly, saved, read back and generates."""

import pytest
import torch
from tests.unit.backbones import tiny
from transformers import AutoModelForCausalLM

from semprune.backbones.layout import decoder_layers, family_of, prunable_matrices
from semprune.pruning import apply_masks, prune_model
from semprune.pruning.methods import methods
from semprune.pruning.weights.linear import prunable_linears

IDS = torch.randint(3, 40, (6, 10), generator=torch.Generator().manual_seed(5))
every_variant = pytest.mark.parametrize(("architecture", "variant"), tiny.VARIANTS)


def _wanda(model, ids=IDS, **settings):
    return prune_model(model, ids, method="wanda", sparsity=0.5, **settings)


def _linears(model):
    return {linear.name: linear for block in prunable_linears(model).values() for linear in block}


def _differing(masks, others):
    """How many weights two sets of masks decide differently.

    A pair may be left to the processor: two scores of one row, equal but for how sums of squares were rounded.
    """
    assert masks.keys() == others.keys()
    return sum(int((masks[name] != others[name]).sum()) for name in masks)


def _inputs_of_first_block(model):
    """What each matrix of the first block multiplies, ``[tokens, in]`` in float64, found by module types alone."""
    family = family_of(model)
    path, block = f"{family.layers}.0", decoder_layers(model, family)[0]
    routers = {name.removesuffix(".weight") for name in family.excluded}
    seen, hooks = {}, []

    def see(name):
        return lambda module, args: seen.update({name: args[0].reshape(-1, args[0].shape[-1]).double()})

    def see_experts(name):
        return lambda module, args: seen.update(_inputs_of_experts(name, module, *args))

    for name, module in block.named_modules():
        if type(module).__name__ in ("Linear", "Conv1D", "FalconLinear") and name not in routers:
            hooks.append(module.register_forward_pre_hook(see(f"{path}.{name}")))
        if name.endswith(".experts"):
            hooks.append(module.register_forward_pre_hook(see_experts(f"{path}.{name}")))
    with torch.no_grad():
        model(IDS, use_cache=False)
    for hook in hooks:
        hook.remove()
    return seen


def _inputs_of_experts(name, experts, hidden, chosen, _):
    """The same for each expert, from its definition."""
    seen = {}
    for expert in range(experts.gate_up_proj.shape[0]):
        inputs = torch.stack([row for row, to in zip(hidden, chosen.tolist(), strict=True) if expert in to]).double()
        weight = experts.gate_up_proj[expert].double()
        if hasattr(experts, "gate_up_proj_bias"):  # gpt-oss: [in, out], interleaved, clamped
            both = inputs @ weight + experts.gate_up_proj_bias[expert].double()
            gate, up = both[:, ::2].clamp(max=7.0), both[:, 1::2].clamp(-7.0, 7.0)
            inner = (up + 1) * gate * torch.sigmoid(1.702 * gate)
        else:
            gate, up = (inputs @ weight.T).chunk(2, dim=-1)
            inner = gate * torch.sigmoid(gate) * up
        seen[f"{name}.gate_up_proj.{expert}"] = inputs
        seen[f"{name}.down_proj.{expert}"] = inner
    return seen


@every_variant
def test_wanda_prunes_exactly_what_whole_forwards_say(architecture, variant):
    model = tiny.make_model(architecture, variant)
    inputs = _inputs_of_first_block(model)
    linears = _linears(model)
    dense = {name: linear.weight.double().clone() for name, linear in linears.items()}

    report = _wanda(model, batch_size=4)

    for name, linear in linears.items():
        kept, width = linear.orient(report.masks[name]), linear.weight.shape[1]
        assert (~kept).sum(-1).unique().tolist() == [width // 2], name
        assert torch.equal(linear.weight.double(), dense[name] * kept), name
    first = {name: linears[name].orient(mask) for name, mask in report.masks.items() if linears[name].matrix.layer == 0}
    expected = {}
    for name, seen in inputs.items():
        score = dense[name].abs() * seen.square().sum(0).sqrt()
        pruned = score.sort(dim=-1, stable=True).indices[:, : score.shape[1] // 2]
        expected[name] = torch.ones_like(score, dtype=torch.bool).scatter(1, pruned, False)
    assert _differing(first, expected) <= 2


@every_variant
def test_nothing_else_changes(architecture, variant):
    model = tiny.make_model(architecture, variant)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pruned = {linear.matrix.key for linear in _linears(model).values()}
    tied = model.config.tie_word_embeddings

    _wanda(model)

    after = model.state_dict()
    assert {name for name, value in before.items() if not torch.equal(after[name], value)} == pruned
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied


@every_variant
def test_a_saved_model_is_read_back_and_generates(architecture, variant, tmp_path):
    model = tiny.make_model(architecture, variant)
    report = _wanda(model)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()

    with torch.no_grad():
        assert torch.equal(again(IDS).logits, model(IDS).logits)
    measured = {
        linear.name: linear.measured_sparsity() for block in prunable_linears(again).values() for linear in block
    }
    assert measured == dict(report.sparsity)
    generated = again.generate(
        IDS[:1], attention_mask=torch.ones_like(IDS[:1]), max_new_tokens=3, min_new_tokens=3, do_sample=False
    )
    assert generated.shape == (1, 13)


@every_variant
def test_bfloat16_is_pruned_as_exactly(architecture, variant):
    model = tiny.make_model(architecture, variant).bfloat16()
    _wanda(model)

    for name, linear in _linears(model).items():
        assert linear.weight.dtype == torch.bfloat16
        assert (linear.weight == 0).sum(-1).unique().tolist() == [linear.weight.shape[1] // 2], name


@every_variant
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_never_counts(architecture, variant, side):
    garbage = torch.randint(3, 40, (6, 3), generator=torch.Generator().manual_seed(6))
    real, padding = torch.ones_like(IDS), torch.zeros_like(garbage)
    order = (0, 1) if side == "right" else (1, 0)
    ids = torch.cat([(IDS, garbage)[part] for part in order], dim=1)
    mask = torch.cat([(real, padding)[part] for part in order], dim=1)

    padded = _wanda(tiny.make_model(architecture, variant), ids, attention_mask=mask)
    counted = _wanda(tiny.make_model(architecture, variant), ids)
    alone = _wanda(tiny.make_model(architecture, variant))

    assert _differing(padded.masks, alone.masks) <= 2
    assert _differing(counted.masks, alone.masks) > 20


@every_variant
def test_dense_statistics_agree_where_no_block_is_pruned_before(architecture, variant):
    sequential = _wanda(tiny.make_model(architecture, variant))
    dense = _wanda(tiny.make_model(architecture, variant), statistics="dense", batch_size=2)

    model = tiny.make_model(architecture, variant)
    by_layer = [{}, {}], [{}, {}]
    for matrix in prunable_matrices(model, family_of(model)):
        by_layer[0][matrix.layer][matrix.name] = dense.masks[matrix.name]
        by_layer[1][matrix.layer][matrix.name] = sequential.masks[matrix.name]
    assert _differing(by_layer[0][0], by_layer[1][0]) <= 2
    assert _differing(by_layer[0][1], by_layer[1][1]) > 20


@every_variant
def test_masks_apply_to_the_dense_weights_by_name(architecture, variant):
    pruned, fresh = tiny.make_model(architecture, variant), tiny.make_model(architecture, variant)
    apply_masks(fresh, _wanda(pruned).masks)

    for (name, one), other in zip(fresh.named_parameters(), pruned.parameters(), strict=True):
        assert torch.equal(one, other), name


@every_variant
@pytest.mark.parametrize("method", sorted(methods()))
def test_every_method_prunes_it(architecture, variant, method):
    model = tiny.make_model(architecture, variant)
    report = prune_model(model, IDS, method=method, sparsity=0.5)

    assert report.total_sparsity == 0.5
    with torch.no_grad():
        assert model(IDS).logits.isfinite().all()
