"""Fine-tuning a pruned model keeps its pruned weights at exactly zero."""

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tests.unit.backbones import tiny
from torch.utils.data import DataLoader

from semprune.errors import ConfigurationError, CorruptArtefactError, SettingError
from semprune.io.bits import hash_masks
from semprune.pruning import StoredMasks, prune_model, save_masks
from semprune.pruning.callbacks.methods import HoldMasks
from semprune.pruning.masks.hold import HeldWeights, masks_of_zeros
from semprune.pruning.weights.linear import stored_weight
from semprune.types import Fingerprint

IDS = torch.randint(3, 40, (16, 10), generator=torch.Generator().manual_seed(5))


class FineTuned(lightning.LightningModule):
    def __init__(self, model, optimizer="adamw", manual=False):
        super().__init__()
        self.language_model = model.train().requires_grad_(True)
        self.optimizer = optimizer
        self.automatic_optimization = not manual

    def training_step(self, ids):
        loss = self.language_model(ids, labels=ids).loss
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            for _ in range(2):
                optimizer.zero_grad()
                self.manual_backward(self.language_model(ids, labels=ids).loss)
                optimizer.step()
        return loss

    def configure_optimizers(self):
        if self.optimizer == "sgd":
            return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
        return torch.optim.AdamW(self.parameters(), lr=0.01, weight_decay=0.1)


class ZeroAlways(Callback):
    """Looks at the weights after every step and before every forward."""

    def __init__(self, masks):
        self.masks, self.looked = masks, 0

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        self.looked += 1
        for name, mask in self.masks.items():
            assert not _weight(pl_module.language_model, name)[~mask].any(), name

    on_train_batch_start = on_train_batch_end = lambda self, trainer, pl_module, *args: self.on_before_zero_grad(
        trainer, pl_module, None
    )


def _weight(model, name):
    return stored_weight(model, name)


def _pruned(architecture="LlamaForCausalLM", variant=None):
    model = tiny.make_model(architecture, variant)
    masks = dict(prune_model(model, None, method="magnitude", sparsity=0.5).masks)
    return model, masks


def _trainer(tmp_path, *callbacks, epochs=2, **settings):
    return lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, callbacks=list(callbacks),
        default_root_dir=tmp_path, **settings,
    )  # fmt: skip


def _data():
    return DataLoader(IDS, batch_size=4)


def _file(path, masks):
    return str(save_masks(path, StoredMasks(masks, Fingerprint("a", "b", "c" * 64), "magnitude", {})))


def _dense_elsewhere(model, masks, before):
    """Kept weights have moved."""
    return all(not torch.equal(_weight(model, name)[mask], before[name][mask]) for name, mask in masks.items())


@pytest.mark.parametrize(("optimizer", "manual"), [("adamw", False), ("sgd", False), ("adamw", True)])
@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "GPT2LMHeadModel", "MixtralForCausalLM"])
def test_pruned_weights_stay_zero_through_real_steps(tmp_path, optimizer, manual, architecture):
    model, masks = _pruned(architecture)
    before = {name: _weight(model, name).clone() for name in masks}
    module, watch = FineTuned(model, optimizer, manual), ZeroAlways(masks)
    clip = {} if manual else {"gradient_clip_val": 1.0, "accumulate_grad_batches": 2}
    _trainer(tmp_path, HoldMasks(), watch, **clip).fit(module, _data())

    assert watch.looked > 8
    assert _dense_elsewhere(model, masks, before)
    assert hash_masks(masks_of_zeros(model)) == hash_masks(masks)


def test_without_the_callback_they_do_not(tmp_path):
    model, masks = _pruned()
    _trainer(tmp_path, epochs=1).fit(FineTuned(model), _data())
    assert all(_weight(model, name)[~mask].all() for name, mask in masks.items())


def test_a_resumed_fit_ends_like_one_in_a_piece(tmp_path):
    whole, masks = _pruned()
    _trainer(tmp_path, HoldMasks(), epochs=4).fit(FineTuned(whole), _data())

    half, _ = _pruned()
    trainer = _trainer(tmp_path, HoldMasks(), epochs=2)
    trainer.fit(FineTuned(half), _data())
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    rest = tiny.make_model("LlamaForCausalLM")  # dense: masks and weights come from the checkpoint
    resumed = _trainer(tmp_path, HoldMasks(), epochs=4)
    resumed.fit(FineTuned(rest), _data(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)

    assert hash_masks(masks_of_zeros(rest)) == hash_masks(masks)
    for one, other in zip(rest.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_masks_of_a_file_are_applied_to_a_dense_model_and_held(tmp_path):
    _, masks = _pruned()
    dense = tiny.make_model("LlamaForCausalLM")
    hold = HoldMasks(_file(tmp_path / "masks.safetensors", masks))
    _trainer(tmp_path, hold, ZeroAlways(masks), epochs=1).fit(FineTuned(dense), _data())
    assert hash_masks(masks_of_zeros(dense)) == hash_masks(masks)


def test_hooks_are_gone_after_the_fit_and_after_an_exception(tmp_path):
    class Stop(Callback):
        def on_train_batch_end(self, *args):
            raise RuntimeError("stop")

    for extra in ((), (Stop(),)):
        model, _ = _pruned()
        module = FineTuned(model)
        trainer = _trainer(tmp_path, HoldMasks(), *extra, epochs=1)
        if extra:
            with pytest.raises(RuntimeError, match="stop"):
                trainer.fit(module, _data())
        else:
            trainer.fit(module, _data())
        assert not any(value._backward_hooks for value in model.parameters())


def test_gradients_of_pruned_weights_move_no_norm():
    model, masks = _pruned()
    held = HeldWeights(model.requires_grad_(True), masks)
    held.attach([])
    model(IDS, labels=IDS).loss.backward()
    for name, mask in masks.items():
        gradient = model.get_submodule(name).weight.grad
        assert not gradient[~mask].any()
        assert gradient[mask].any()


def test_a_dense_model_without_masks_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="nothing to hold"):
        _trainer(tmp_path, HoldMasks()).fit(FineTuned(tiny.make_model("LlamaForCausalLM")), _data())


def test_masks_of_another_model_are_refused(tmp_path):
    _, masks = _pruned("GPT2LMHeadModel")
    hold = HoldMasks(_file(tmp_path / "masks.safetensors", masks))
    with pytest.raises(SettingError, match="masks must be for modules of this model"):
        _trainer(tmp_path, hold).fit(FineTuned(tiny.make_model("LlamaForCausalLM")), _data())


def test_a_module_without_a_language_model_is_refused(tmp_path):
    class Other(FineTuned):
        def __init__(self):
            super().__init__(torch.nn.Linear(2, 2))

    with pytest.raises(ConfigurationError, match="found none"):
        _trainer(tmp_path, HoldMasks()).fit(Other(), _data())


def test_state_of_other_masks_or_damaged_is_refused(tmp_path):
    _, masks = _pruned()
    hold = HoldMasks(_file(tmp_path / "masks.safetensors", masks))
    state = hold.state_dict()
    first = next(iter(masks))
    other = HoldMasks(_file(tmp_path / "other.safetensors", {**masks, first: ~masks[first]}))
    with pytest.raises(ConfigurationError, match="other masks than the checkpoint"):
        other.load_state_dict(state)
    state["bits"][first] = ~state["bits"][first]
    with pytest.raises(CorruptArtefactError, match="held masks"):
        HoldMasks().load_state_dict(state)
