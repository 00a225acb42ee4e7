"""LoRA on a pruned model: what is trained under held masks is what the merge gives, and its zeros stay."""

import copy
import warnings

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from tests.unit.backbones import tiny
from torch.utils.data import DataLoader

import semprune
from semprune.errors import AdapterError, ConfigurationError, SettingError, UnprunedMatrixError
from semprune.pruning import StoredMasks, prune_model, save_masks
from semprune.pruning.masks.adapters import hold_adapters
from semprune.pruning.masks.hold import masks_of_zeros
from semprune.pruning.weights.linear import stored_weight
from semprune.types import Fingerprint

IDS = torch.randint(3, 40, (16, 10), generator=torch.Generator().manual_seed(5))
TARGETS = {"LlamaForCausalLM": ["q_proj", "down_proj"], "GPT2LMHeadModel": ["c_attn", "c_fc"]}  # Conv1D: [in, out]


def pruned(architecture="LlamaForCausalLM"):
    model = tiny.make_model(architecture)
    return model, dict(prune_model(model, None, method="magnitude", sparsity=0.5).masks)


def adapted(model, **changes):
    """With an adapter that already does something."""
    torch.manual_seed(1)
    transposed = {"fan_in_fan_out": True} if "GPT2" in type(model).__name__ else {}
    settings = {"r": 4, "target_modules": TARGETS[type(model).__name__], "task_type": "CAUSAL_LM", **transposed}
    return get_peft_model(model, LoraConfig(**settings | {"init_lora_weights": False} | changes)).eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS[:4]).logits


class Tuned(lightning.LightningModule):
    def __init__(self, model):
        super().__init__()
        self.language_model = model.train()

    def training_step(self, ids):
        return self.language_model(input_ids=ids, labels=ids).loss

    def configure_optimizers(self):
        return torch.optim.AdamW([value for value in self.parameters() if value.requires_grad], lr=0.01)


class LastLogits(Callback):
    """What the trained model says while its masks are held."""

    def on_train_end(self, trainer, pl_module):
        pl_module.eval()
        self.seen = logits(pl_module.language_model)


def fit(model, *callbacks):
    lightning.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks),
    ).fit(Tuned(model), DataLoader(IDS, batch_size=4))  # fmt: skip


def zeros_are(model, masks):
    return all(torch.equal(stored_weight(model, name) != 0, mask) for name, mask in masks.items())


@pytest.mark.parametrize("architecture", TARGETS)
@pytest.mark.parametrize("given", ["zeros", "file"])
@pytest.mark.parametrize("merge", ["peft's", "ours"])
def test_what_is_trained_under_held_masks_is_what_the_merge_gives(architecture, given, merge, tmp_path):
    model, masks = pruned(architecture)
    stored = StoredMasks(masks, Fingerprint("a", "b", "c" * 64), "magnitude", {})
    file = str(save_masks(tmp_path / "masks.safetensors", stored)) if given == "file" else None
    lora, last = adapted(model, lora_dropout=0.1), LastLogits()
    before = copy.deepcopy(lora.state_dict())
    fit(lora, semprune.HoldMasks(file), last)
    learned = [name for name, value in lora.state_dict().items() if not torch.equal(value, before[name])]
    assert torch.equal(logits(lora.eval()), last.seen)  # also after the fit
    merged = semprune.merge_adapters(lora, file) if merge == "ours" else lora.merge_and_unload()

    assert learned
    assert all("lora_" in name for name in learned)
    assert zeros_are(merged, masks)
    assert torch.allclose(logits(merged), last.seen, atol=1e-4)


def test_without_held_masks_a_merge_fills_the_zeros():
    """What it is for: the adapted matrices are dense."""
    model, masks = pruned()
    merged = adapted(model).merge_and_unload()
    filled = [name for name, mask in masks.items() if stored_weight(merged, name)[~mask].any()]

    assert sorted({name.rpartition(".")[2] for name in filled}) == ["down_proj", "q_proj"]


@pytest.mark.parametrize("architecture", TARGETS)
def test_held_adapters_change_what_the_masks_keep_and_nothing_else(architecture):
    model, masks = pruned(architecture)
    lora = adapted(model)
    expected = copy.deepcopy(lora).merge_and_unload()
    for name, mask in masks.items():
        stored_weight(expected, name)[~mask] = 0
    dense = logits(lora)
    held = hold_adapters(model, masks)
    held = hold_adapters(model, masks)  # a second fit holds anew, not twice

    assert torch.allclose(logits(lora), logits(expected), atol=1e-5)
    assert not torch.allclose(logits(lora), dense, atol=1e-2)
    with lora.disable_adapter():
        assert torch.equal(logits(lora), logits(pruned(architecture)[0]))
    copied = copy.deepcopy(lora)  # reads its own adapters, not those of the original
    copied.get_submodule("base_model.model." + next(iter(masks))).lora_B["default"].weight.data.zero_()
    assert not torch.allclose(logits(copied), logits(lora), atol=1e-3)
    for adapter in held:
        adapter.release()
    assert torch.equal(logits(lora), dense)


def test_a_masked_adapter_is_unmerged_to_the_very_weights():
    model, masks = pruned()
    lora = adapted(model)
    hold_adapters(model, masks)
    before = {name: stored_weight(model, name).clone() for name in masks}
    lora.merge_adapter()
    assert zeros_are(model, masks)
    lora.unmerge_adapter()

    assert all(torch.allclose(stored_weight(model, name), weight, atol=1e-6) for name, weight in before.items())
    assert all(not stored_weight(model, name)[~mask].any() for name, mask in masks.items())


def test_gradients_reach_the_adapter_through_kept_weights_only():
    """d/dB of (M ⊙ BA) x by hand: only kept entries of a row of B A carry a gradient."""
    model, masks = pruned()
    adapted(model)
    name = "model.layers.0.mlp.down_proj"
    wrapper = model.get_submodule(name)
    hold_adapters(model, masks)
    inputs = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    wrapper(inputs).sum().backward()
    down, up = wrapper.lora_A["default"].weight.detach(), wrapper.lora_B["default"].weight
    scaling = wrapper.scaling["default"]

    expected = scaling * (masks[name] * inputs.sum(0)) @ down.t()
    assert torch.allclose(up.grad, expected, atol=1e-5)


def test_an_adapter_saved_and_loaded_again_merges_into_the_same_model(tmp_path):
    model, masks = pruned()
    lora = adapted(model)
    lora.save_pretrained(tmp_path)
    merged = semprune.merge_adapters(lora, masks)
    again = PeftModel.from_pretrained(pruned()[0], tmp_path)

    for one, other in zip(semprune.merge_adapters(again).parameters(), merged.parameters(), strict=True):
        assert torch.equal(one, other)


def test_masks_of_zeros_are_those_of_the_weights_below_the_adapters():
    model, masks = pruned()
    adapted(model)

    found = masks_of_zeros(model)
    assert found.keys() == masks.keys()
    assert all(torch.equal(found[name], mask) for name, mask in masks.items())


def test_a_model_below_adapters_is_held_but_never_pruned():
    model, _ = pruned()
    adapted(model)
    with pytest.raises(UnprunedMatrixError, match="lora_A"):
        prune_model(model, None, method="magnitude", sparsity=0.5)


def test_adapters_of_other_kinds_are_refused_before_anything_is_trained():
    model, _ = pruned()
    with pytest.raises(AdapterError, match=r"q_proj has DoraLinearVariant.*without variants \(such as use_dora\)"):
        fit(adapted(model, use_dora=True), semprune.HoldMasks())
    model, _ = pruned()
    scaled = get_peft_model(model, IA3Config(target_modules=["k_proj"], feedforward_modules=[], task_type="CAUSAL_LM"))
    with pytest.raises(AdapterError, match="plain LoRA of linears"):
        fit(scaled, semprune.HoldMasks())


def test_experts_whose_stacks_carry_adapters_are_refused():
    model, masks = pruned("MixtralForCausalLM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], target_parameters=["mlp.experts.down_proj"]))
    with pytest.raises(AdapterError, match="not target_parameters"):
        hold_adapters(model, masks)


def test_what_cannot_be_merged_is_refused_before_the_merge():
    model, masks = pruned()
    dense = adapted(tiny.make_model("LlamaForCausalLM"))
    with pytest.raises(AdapterError, match="a LlamaForCausalLM has no adapters to merge"):
        semprune.merge_adapters(model, masks)
    with pytest.raises(ConfigurationError, match="no weight of the model is zero"):
        semprune.merge_adapters(dense)
    with pytest.raises(SettingError, match="masks"):
        semprune.merge_adapters(dense, pruned("GPT2LMHeadModel")[1])
    assert hasattr(dense.get_submodule("base_model.model.model.layers.0.self_attn.q_proj"), "lora_A")
