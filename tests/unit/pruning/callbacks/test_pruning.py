"""Pruning callbacks in real Lightning runs: prune, log, restore, carry masks."""

import itertools
import logging

import jsonargparse
import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from semprune.backbones import describe
from semprune.errors import (
    BackboneMismatchError,
    CalibrationMissingError,
    ConfigurationError,
    CorruptArtefactError,
    NonFiniteError,
    SettingError,
    SparsityRangeError,
    UnknownMethodError,
)
from semprune.pruning import prune_model
from semprune.pruning.calibration import hash_calibration
from semprune.pruning.callbacks import pruning as callback_module
from semprune.pruning.callbacks.methods import RIA, Magnitude, PruningCallback, SparseGPT, Wanda
from semprune.pruning.guidance.protected_text import ProtectedText, ScoredBatch
from semprune.pruning.in_memory import prune_model as pruning_run


class Watcher(pl.LightningModule):
    """Looks at the frozen model's weights in every step; trains one number so that fit has something to do."""

    def __init__(self, lm, fail=False):
        super().__init__()
        self.lm = lm
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.fail = fail
        self.zeros_seen = []

    def _look(self, batch):
        self.zeros_seen.append(zeros(self.lm.model))
        if self.fail:
            raise RuntimeError("the step failed")
        return self.scale.sum() * self.lm.model(batch, use_cache=False).logits.mean()

    def training_step(self, batch):
        return self._look(batch)

    def validation_step(self, batch):
        self._look(batch)

    def test_step(self, batch):
        self._look(batch)

    def predict_step(self, batch):
        return self._look(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def state_dict(self, *args, **kwargs):
        return {name: value for name, value in super().state_dict(*args, **kwargs).items() if name == "scale"}


class Data(pl.LightningDataModule):
    def __init__(self, input_ids):
        super().__init__()
        self.input_ids = input_ids

    def test_dataloader(self):
        return DataLoader(self.input_ids, batch_size=3)

    train_dataloader = val_dataloader = predict_dataloader = test_dataloader


class CalibratedData(Data):
    def calibration_input_ids(self):
        return self.input_ids


def zeros(model):
    """Number of zero weights in the decoder blocks' matrices."""
    return sum((parameter == 0).sum().item() for parameter in model.model.layers.parameters() if parameter.ndim == 2)


def weights(model):
    return [parameter.clone() for parameter in model.parameters()]


def same(model, before):
    return all(torch.equal(parameter, old) for parameter, old in zip(model.parameters(), before, strict=True))


def trainer(tmp_path, *callbacks, logger=False, **settings):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 1, "accelerator": "cpu"}
    settings = {"enable_checkpointing": False, **quiet, **settings}
    return pl.Trainer(default_root_dir=tmp_path, callbacks=list(callbacks), logger=logger, **settings)


@pytest.fixture
def lm(llama):
    return describe(llama, None, "tiny")


SIZE = 2 * (16 * 16 * 2 + 2 * 16 * 8 + 3 * 16 * 24)  # weights in the matrices of both blocks


@pytest.mark.parametrize("run", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Magnitude(0.5),
        lambda: Wanda(0.5, batch_size=2),
        lambda: Wanda(pattern="2:4"),
        lambda: RIA(0.5),
        lambda: RIA(pattern="4:8", permutation="assignment", selection="reference"),
        lambda: SparseGPT(),
        lambda: SparseGPT(pattern="2:4", batch_size=2, statistics="dense"),
    ],
    ids=["Magnitude", "Wanda", "Wanda 2:4", "RIA", "RIA 4:8", "SparseGPT", "SparseGPT 2:4"],
)
def test_the_model_is_pruned_inside_a_run_and_dense_after(tmp_path, lm, input_ids, run, make):
    before, module, callback = weights(lm.model), Watcher(lm), make()

    getattr(trainer(tmp_path, callback), run)(module, datamodule=CalibratedData(input_ids))

    assert set(module.zeros_seen) == {SIZE // 2}
    assert same(lm.model, before)
    assert not callback.active


def test_masks_are_those_of_prune_model(tmp_path, lm, make_llama, input_ids):
    callback = Wanda(0.5, statistics="dense", batch_size=2)
    trainer(tmp_path, callback).test(Watcher(lm), datamodule=CalibratedData(input_ids), verbose=False)
    expected = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5, statistics="dense", batch_size=2)

    assert callback.report.mask_hash == expected.mask_hash
    assert callback.report.calibration == hash_calibration(input_ids)
    assert callback.settings() == expected.settings
    assert callback.name == "wanda"
    assert not any(mask.is_inference() for mask in callback.report.masks.values())


def test_dense_weights_come_back_after_an_exception(tmp_path, lm, input_ids):
    before, module, callback = weights(lm.model), Watcher(lm, fail=True), Wanda(0.5)

    with pytest.raises(RuntimeError, match="the step failed"):
        trainer(tmp_path, callback).test(module, datamodule=CalibratedData(input_ids), verbose=False)

    assert module.zeros_seen == [SIZE // 2]
    assert same(lm.model, before)
    callback.restore()  # once more changes nothing
    assert same(lm.model, before)


def test_dense_weights_come_back_when_pruning_itself_fails(tmp_path, lm, input_ids):
    lm.model.model.layers[1].post_attention_layernorm.weight.data[:] = (
        3e38  # its products are not finite, after block 0 is pruned
    )
    before, callback = weights(lm.model), Wanda(0.5)

    with pytest.raises(NonFiniteError, match=r"the input of model\.layers\.1\.mlp\.gate_proj"):
        trainer(tmp_path, callback).test(Watcher(lm), datamodule=CalibratedData(input_ids), verbose=False)

    assert same(lm.model, before)
    assert not callback.active


def test_suspended_runs_are_dense_and_the_next_is_pruned(tmp_path, lm, input_ids):
    module, callback = Watcher(lm), Wanda(0.5)
    run = trainer(tmp_path, callback)

    with callback.suspended():
        run.test(module, datamodule=CalibratedData(input_ids), verbose=False)
    assert set(module.zeros_seen) == {0}
    assert callback.report is None

    run.test(module, datamodule=CalibratedData(input_ids), verbose=False)
    assert module.zeros_seen[-1] == SIZE // 2


def test_suspended_in_the_middle_of_a_run_is_dense_inside_and_pruned_after(tmp_path, lm, input_ids):
    before, callback, seen = weights(lm.model), Magnitude(0.5), []

    class Middle(pl.Callback):
        def on_test_batch_start(self, *_args):
            with callback.suspended():
                seen.append(same(lm.model, before))
                with callback.suspended():
                    pass
                seen.append(same(lm.model, before))
            seen.append(zeros(lm.model))

    trainer(tmp_path, callback, Middle()).test(Watcher(lm), datamodule=CalibratedData(input_ids), verbose=False)

    assert seen == [True, True, SIZE // 2] * 2
    assert same(lm.model, before)


def test_tensorboard_gets_scalars_per_block_and_a_heatmap(tmp_path, lm, input_ids):
    logger = TensorBoardLogger(tmp_path, name="", version="")
    callback = Wanda(0.25)
    trainer(tmp_path, callback, logger=logger).test(Watcher(lm), datamodule=CalibratedData(input_ids), verbose=False)
    events = EventAccumulator(logger.log_dir)
    events.Reload()

    for tag in ("sparsity/layers.0", "sparsity/layers.1", "sparsity/total"):
        assert [event.value for event in events.Scalars(tag)] == [pytest.approx(0.25)]
    assert events.Tags()["images"] == ["sparsity/layers_by_matrix"]


def test_masks_travel_in_the_checkpoint_and_are_not_computed_again(tmp_path, lm, make_llama, input_ids, monkeypatch):
    first = Wanda(0.5)
    run = trainer(tmp_path, first)
    run.fit(Watcher(lm), datamodule=CalibratedData(input_ids))
    run.save_checkpoint(tmp_path / "run.ckpt")
    monkeypatch.setattr("semprune.pruning.callbacks.pruning.prune_model", lambda *_, **__: pytest.fail("pruned again"))

    for data in (CalibratedData(input_ids), Data(input_ids)):  # with the same calibration, and with none
        module, second = Watcher(describe(make_llama(), None, "tiny")), Wanda(0.5)
        trainer(tmp_path, second).test(module, datamodule=data, ckpt_path=tmp_path / "run.ckpt", verbose=False)
        assert set(module.zeros_seen) == {SIZE // 2}
        assert second.report.mask_hash == first.report.mask_hash
        assert dict(second.report.sparsity) == dict(first.report.sparsity)


def test_the_checkpoint_holds_bits_and_can_be_read_without_pickle(tmp_path, lm, input_ids):
    callback = Magnitude(0.5)
    run = trainer(tmp_path, callback)
    run.fit(Watcher(lm), datamodule=Data(input_ids))
    run.save_checkpoint(tmp_path / "run.ckpt")
    state = torch.load(tmp_path / "run.ckpt", weights_only=True)["callbacks"][callback.state_key]

    assert sum(bits.numel() for bits in state["bits"].values()) == SIZE // 8
    assert state["header"]["fingerprint"]["weights_sha256"] == lm.fingerprint.weights_sha256


def test_masks_of_another_backbone_are_refused(tmp_path, lm, make_llama, input_ids):
    run = trainer(tmp_path, Wanda(0.5))
    run.fit(Watcher(lm), datamodule=CalibratedData(input_ids))
    run.save_checkpoint(tmp_path / "run.ckpt")
    changed = make_llama()
    changed.lm_head.weight.data[0, 0] += 1
    module = Watcher(describe(changed, None, "changed"))

    with pytest.raises(BackboneMismatchError, match="the checkpoint's masks was made with backbone"):
        trainer(tmp_path, Wanda(0.5)).test(
            module, datamodule=CalibratedData(input_ids), ckpt_path=tmp_path / "run.ckpt", verbose=False
        )


def test_masks_of_another_calibration_are_computed_anew(lm, input_ids, tmp_path, caplog):
    first, second = Wanda(0.5), Wanda(0.5)
    trainer(tmp_path, first).test(Watcher(lm), datamodule=CalibratedData(input_ids), verbose=False)
    second.load_state_dict(first.state_dict())
    with caplog.at_level(logging.WARNING):
        trainer(tmp_path, second).test(Watcher(lm), datamodule=CalibratedData(input_ids.flip(-1)), verbose=False)

    assert "another calibration" in caplog.text
    assert second.report.calibration == hash_calibration(input_ids.flip(-1))
    assert second.report.mask_hash != first.report.mask_hash


def test_masks_that_protect_other_text_are_computed_anew(lm, input_ids, tmp_path, caplog, monkeypatch):
    """Of a file whose name is as before."""
    texts = []
    monkeypatch.setattr(pruning_run, "protected_texts", lambda *_: texts)
    monkeypatch.setattr(callback_module, "protected_texts", lambda *_: texts)
    first, same, second = (Wanda(0.5, protect="own.csv") for _ in range(3))
    for callback, right in ((first, 1), (same, 1), (second, 2)):
        texts[:] = [ProtectedText("own.csv", 1.0, (answered(input_ids, right),))]
        if callback is not first:
            callback.load_state_dict(first.state_dict())
        with caplog.at_level(logging.WARNING):
            trainer(tmp_path, callback).test(Watcher(lm), datamodule=CalibratedData(input_ids), verbose=False)
        assert ("protect other text" in caplog.text) == (callback is second)
    assert first.report.mask_hash == same.report.mask_hash != second.report.mask_hash


def answered(ids, right):
    """One row, with a word that is right at its end."""
    places = torch.zeros(1, dtype=torch.long), torch.tensor([ids.shape[1] - 1])
    return ScoredBatch(
        ids[:1], torch.ones_like(ids[:1]), places, lambda logits: logits.log_softmax(-1)[0, right],
        torch.tensor([right]), 1,
    )  # fmt: skip


def test_masks_of_other_settings_are_not_taken(tmp_path, lm, input_ids):
    run = trainer(tmp_path, Magnitude(0.5))
    run.fit(Watcher(lm), datamodule=Data(input_ids))
    run.save_checkpoint(tmp_path / "run.ckpt")
    module = Watcher(lm)
    trainer(tmp_path, Magnitude(0.25)).test(
        module, datamodule=Data(input_ids), ckpt_path=tmp_path / "run.ckpt", verbose=False
    )

    assert set(module.zeros_seen) == {SIZE // 4}


def test_a_damaged_state_is_refused(lm, input_ids, tmp_path):
    callback = Magnitude(0.5)
    trainer(tmp_path, callback).test(Watcher(lm), datamodule=Data(input_ids), verbose=False)
    state = callback.state_dict()
    next(iter(state["bits"].values()))[0] ^= 1

    with pytest.raises(CorruptArtefactError, match="do not have the hash"):
        Magnitude(0.5).load_state_dict(state)
    with pytest.raises(CorruptArtefactError, match="header"):
        Magnitude(0.5).load_state_dict({})


def test_the_state_is_empty_before_the_first_pruning():
    assert Wanda(0.5).state_dict() == {}


def test_a_data_module_without_calibration_is_refused(tmp_path, lm, input_ids):
    before = weights(lm.model)
    with pytest.raises(
        CalibrationMissingError, match="callback Wanda needs calibration sequences, but data module Data"
    ):
        trainer(tmp_path, Wanda(0.5)).test(Watcher(lm), datamodule=Data(input_ids), verbose=False)

    assert same(lm.model, before)


def test_a_run_without_a_data_module_is_refused(tmp_path, lm, input_ids):
    with pytest.raises(CalibrationMissingError, match="data module NoneType"):
        trainer(tmp_path, Wanda(0.5)).test(Watcher(lm), DataLoader(input_ids), verbose=False)


def test_a_module_without_a_backbone_is_refused(tmp_path, input_ids):
    with pytest.raises(ConfigurationError, match=r"Watcher\.lm is NoneType, not a Backbone"):
        trainer(tmp_path, Magnitude(0.5)).test(Watcher(None), datamodule=Data(input_ids), verbose=False)


def test_two_pruning_callbacks_at_once_are_refused(tmp_path, lm, input_ids):
    before = weights(lm.model)
    with pytest.raises(ConfigurationError, match="Magnitude and Wanda would prune the same model"):
        trainer(tmp_path, Magnitude(0.5), Wanda(0.5)).test(
            Watcher(lm), datamodule=CalibratedData(input_ids), verbose=False
        )

    assert same(lm.model, before)


def test_settings_are_checked_at_once():
    with pytest.raises(SparsityRangeError, match="got 50"):
        Wanda(50)
    with pytest.raises(SettingError, match="statistics must be"):
        Wanda(statistics="none")
    with pytest.raises(UnknownMethodError, match="did you mean 'wanda'"):
        PruningCallback("wnda")


def test_updated_weights_are_those_of_prune_model_and_come_back_from_a_suspension(tmp_path, lm, make_llama, input_ids):
    twin, seen = make_llama(), []
    prune_model(twin, input_ids, method="sparsegpt", sparsity=0.5, batch_size=2)
    before, callback = weights(lm.model), SparseGPT(0.5, batch_size=2)

    class Middle(pl.Callback):
        def on_test_batch_start(self, *_args):
            seen.append(same(lm.model, weights(twin)))
            with callback.suspended():
                seen.append(same(lm.model, before))
            seen.append(same(lm.model, weights(twin)))

    trainer(tmp_path, Middle(), callback).test(Watcher(lm), datamodule=CalibratedData(input_ids), verbose=False)

    assert seen == [True] * 6
    assert same(lm.model, before)


def test_weights_that_a_method_updated_come_back_after_an_exception(tmp_path, lm, input_ids):
    before, callback = weights(lm.model), SparseGPT(0.5)
    with pytest.raises(RuntimeError, match="the step failed"):
        trainer(tmp_path, callback).fit(Watcher(lm, fail=True), datamodule=CalibratedData(input_ids))

    assert same(lm.model, before)
    assert not callback.active


def test_masks_do_not_suffice_for_sparsegpt_so_that_its_weights_are_computed_again(tmp_path, lm, make_llama, input_ids):
    first = SparseGPT(0.5)
    run = trainer(tmp_path, first)
    run.fit(Watcher(lm), datamodule=CalibratedData(input_ids))
    run.save_checkpoint(tmp_path / "run.ckpt")
    twin, seen = make_llama(), []
    prune_model(twin, input_ids, method="sparsegpt", sparsity=0.5)
    module, second = Watcher(describe(make_llama(), None, "tiny")), SparseGPT(0.5)

    class Look(pl.Callback):
        def on_test_batch_start(self, *_args):
            seen.append(same(module.lm.model, weights(twin)))

    trainer(tmp_path, second, Look()).test(
        module, datamodule=CalibratedData(input_ids), ckpt_path=tmp_path / "run.ckpt", verbose=False
    )
    assert seen == [True, True]
    assert second.report.mask_hash == first.report.mask_hash

    with pytest.raises(CalibrationMissingError, match="callback SparseGPT needs calibration sequences"):
        trainer(tmp_path, SparseGPT(0.5)).test(
            Watcher(describe(make_llama(), None, "tiny")),
            datamodule=Data(input_ids),
            ckpt_path=tmp_path / "run.ckpt",
            verbose=False,
        )


def test_the_order_and_pattern_of_columns_travel_in_the_checkpoint(tmp_path, lm, input_ids):
    callback = RIA(pattern="2:4", permutation="snake")
    run = trainer(tmp_path, callback)
    run.fit(Watcher(lm), datamodule=CalibratedData(input_ids))
    run.save_checkpoint(tmp_path / "run.ckpt")
    loaded = RIA(pattern="2:4", permutation="snake")
    trainer(tmp_path, loaded).test(
        Watcher(lm), datamodule=Data(input_ids), ckpt_path=tmp_path / "run.ckpt", verbose=False
    )

    assert loaded.report.patterned == callback.report.patterned
    assert loaded.report.orders.keys() == callback.report.orders.keys()
    assert all(torch.equal(loaded.report.orders[name], order) for name, order in callback.report.orders.items())


def validated_run(folder, model, input_ids, order):
    """One fit with validation; what the checkpoint holds and what every step saw."""
    pruning = {"wanda": Wanda, "sparsegpt": SparseGPT}
    made = {
        "stop": lambda: EarlyStopping("loss", patience=0, mode="max"),
        "checkpoint": lambda: ModelCheckpoint(folder, filename="best", monitor="loss", save_last=True),
        **{name: (lambda kind=kind: kind(0.5)) for name, kind in pruning.items()},
    }

    class Validated(Watcher):
        def validation_step(self, batch):
            self.log("loss", self._look(batch))

    module, callbacks = Validated(describe(model, None, "tiny")), [made[name]() for name in order]
    run = trainer(folder, *callbacks, enable_checkpointing=True, max_epochs=3)
    run.fit(module, datamodule=CalibratedData(input_ids))
    pruner = next(callback for callback in callbacks if isinstance(callback, PruningCallback))
    state = torch.load(folder / "best.ckpt", weights_only=True)["callbacks"][pruner.state_key]
    return pruner.report.mask_hash, state["header"]["mask_hash"], module.zeros_seen, run.current_epoch


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_the_order_of_callbacks_changes_nothing(tmp_path, make_llama, input_ids, method):
    results = []
    for index, order in enumerate(itertools.permutations((method, "stop", "checkpoint"))):
        model = make_llama()
        before = weights(model)
        results.append(validated_run(tmp_path / str(index), model, input_ids, order))
        assert same(model, before)

    assert all(result == results[0] for result in results)
    assert results[0][0] == results[0][1]
    assert set(results[0][2]) == {SIZE // 2}


def test_allocation_and_its_options_reach_the_run(tmp_path, lm, make_llama, input_ids):
    callback = Magnitude(0.5, allocation="owl", owl_multiple=3.0, owl_spread=0.1)
    trainer(tmp_path, callback).test(Watcher(lm), datamodule=CalibratedData(input_ids), verbose=False)
    given = {"allocation": "owl", "owl_multiple": 3.0, "owl_spread": 0.1}
    expected = prune_model(make_llama(), input_ids, method="magnitude", sparsity=0.5, **given)

    assert callback.report.mask_hash == expected.mask_hash
    assert callback.settings() == expected.settings
    assert given.items() <= callback.settings().items()
    with pytest.raises(CalibrationMissingError, match="callback Magnitude needs calibration"):
        trainer(tmp_path, Magnitude(0.5, allocation="owl")).test(Watcher(lm), datamodule=Data(input_ids), verbose=False)


def test_half_of_the_weights_go_where_nothing_is_said():
    assert Wanda().settings()["sparsity"] == 0.5
    assert "sparsity" not in Wanda(pattern="2:4").settings()
    assert RIA().settings()["exponent"] == 0.5
    assert SparseGPT().settings()["damping"] == 0.01
    with pytest.raises(SettingError, match="sparsity or pattern"):
        Wanda(0.5, pattern="2:4")
    with pytest.raises(SettingError, match="damping must be ≥ 0"):
        SparseGPT(damping=-1.0)


def configured(tmp_path, text):
    (tmp_path / "callback.yaml").write_text(text)
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_argument("--callback", type=PruningCallback)
    return parser.instantiate(parser.parse_args(["--config", str(tmp_path / "callback.yaml")])).callback


def test_callbacks_are_made_from_yaml_by_their_short_names(tmp_path):
    init = "pattern: '2:4'\n    permutation: snake"
    callback = configured(tmp_path, f"callback:\n  class_path: RIA\n  init_args:\n    {init}\n")

    assert isinstance(callback, RIA)
    assert (callback.settings()["pattern"], callback.settings()["permutation"]) == ("2:4", "snake")


@pytest.mark.parametrize("protect", ["sentiment", "[sentiment, topic]", "{what: sentiment, strength: 3}"])
def test_a_callback_keeps_what_is_named(tmp_path, lm, input_ids, monkeypatch, protect):
    callback = configured(tmp_path, f"callback:\n  class_path: Wanda\n  init_args:\n    protect: {protect}\n")
    asked = []
    monkeypatch.setattr(pruning_run, "protected_texts", lambda model, settings, _: asked.append(settings.protect) or ())

    trainer(tmp_path, callback).test(Watcher(lm), datamodule=CalibratedData(input_ids))

    plain = {"items": 256, "seed": 0, "budget": 0.02, "weights": "fisher"}
    record: list[dict[str, object]] = [{"what": ["sentiment"], "strength": 1.0, **plain}]
    if "topic" in protect:
        record.append({**record[0], "what": ["topic"]})
    record[0]["strength"] = 3.0 if "strength" in protect else 1.0
    assert callback.report.settings["protect"] == record
    assert [each.record() for each in asked[0]] == record
    assert callback.state_key != Wanda().state_key


def test_nothing_is_protected_without_statistics_or_in_the_published_selection():
    with pytest.raises(TypeError, match="protect"):
        Magnitude(protect="sentiment")
    with pytest.raises(SettingError, match="looks at no data"):
        PruningCallback("magnitude", protect="sentiment")
    with pytest.raises(SettingError, match="published code has none"):
        Wanda(selection="reference", protect="sentiment")


def test_trap_yaml_reads_a_pattern_without_quotes_as_a_number(tmp_path):
    with pytest.raises(jsonargparse.ArgumentError, match="124"):
        configured(tmp_path, "callback:\n  class_path: Wanda\n  init_args:\n    pattern: 2:4\n")
