"""What runs on a GPU gives what it gives on the CPU, up to the rounding of sums in another order."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from tests.integration.tiny import TinyData, tiny_backbone, tiny_module

from semprune.attribution.standardisation.site_pass import site_pass
from semprune.backbones import Backbone, describe
from semprune.data import EvaluationDataModule
from semprune.evaluation import predict_items
from semprune.pruning import prune_model
from semprune.pruning.callbacks.methods import Wanda
from semprune.pruning.selection.keep import select_lowest
from semprune.study import PairedTrainer
from semprune.types import Item


def on_gpu(lm: Backbone) -> Backbone:
    return describe(copy.deepcopy(lm.model).to("cuda"), lm.tokenizer, lm.name)


class MovedData(TinyData):
    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return EvaluationDataModule.transfer_batch_to_device(self, batch, device, dataloader_idx)


def trainer(folder, accelerator, **settings):
    return PairedTrainer(
        accelerator=accelerator, devices=1, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, default_root_dir=folder, log_every_n_steps=2, logger=False, enable_checkpointing=False,
        max_epochs=3, **settings,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(3, 37, 1536), (2, 5, 130), (64, 128, 512), (1, 1, 1)])
def test_a_site_is_summed_as_on_the_cpu(shape, dtype):
    torch.manual_seed(0)
    h, valid = torch.randn(shape).to(dtype), torch.rand(shape[:2]) > 0.3
    median, scale = 0.1 * torch.randn(shape[2]), torch.rand(shape[2])
    scale[0] = 0  # a dead neuron
    expected = site_pass(h, valid, median, scale, moments=True)
    found = site_pass(h.cuda(), valid.cuda(), median.cuda(), scale.cuda(), moments=True)
    torch.testing.assert_close(found.z.cpu(), expected.z)
    torch.testing.assert_close(found.energy.cpu(), expected.energy, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found.moments.cpu(), expected.moments, rtol=1e-5, atol=1e-3)


def test_activations_that_are_not_numbers_stay_so():
    h = torch.ones(1, 2, 3, device="cuda")
    h[0, 1, 1] = torch.nan
    one = torch.ones(3, device="cuda")
    found = site_pass(h, torch.ones(1, 2, dtype=torch.bool, device="cuda"), one, one, moments=True)
    assert found.moments[1].isnan().tolist() == [False, True, False]


def test_fit_and_test_under_lightning_find_the_same(tmp_path):
    lm = tiny_backbone()
    found = {}
    for accelerator in ("cpu", "gpu"):
        module, data = tiny_module(on_gpu(lm) if accelerator == "gpu" else lm), MovedData(lm)
        trainer(tmp_path, accelerator).fit(module, datamodule=data)
        # the device that Lightning leaves a model on after fit is its own affair: test moves it again
        pruner = Wanda(0.5, batch_size=4)
        trainer(tmp_path, accelerator, callbacks=[pruner]).test(module, datamodule=data, verbose=False)
        found[accelerator] = module.association(), module.outcomes["dense"], module.outcomes["wanda"], pruner.report
    (cpu, dense, pruned, report), (gpu, gpu_dense, gpu_pruned, gpu_report) = found["cpu"], found["gpu"]
    assert gpu.matrix.device.type == "cpu"
    torch.testing.assert_close(gpu.mean, cpu.mean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(gpu.t, cpu.t, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(gpu.matrix, cpu.matrix, rtol=2e-2, atol=5e-3)
    for one, other in ((dense, gpu_dense), (pruned, gpu_pruned)):
        scores, others = (torch.tensor(each.predictions["scores"].tolist()) for each in (one, other))
        torch.testing.assert_close(others, scores, rtol=1e-3, atol=1e-3)
    assert report.total_sparsity == pytest.approx(gpu_report.total_sparsity, abs=1e-9)


@pytest.mark.parametrize("method", ["magnitude", "wanda", "ria", "sparsegpt"])
@pytest.mark.parametrize("amount", [{"sparsity": 0.5}, {"pattern": "2:4"}])
def test_masks_are_those_of_the_cpu(method, amount):
    lm = tiny_backbone()
    ids = TinyData(lm).calibration_input_ids()
    other = on_gpu(lm)
    prune_model(lm.model, ids, method=method, batch_size=4, **amount)
    prune_model(other.model, ids, method=method, batch_size=4, **amount)
    kept = [torch.cat([(module.weight == 0).flatten() for module in each.model.model.layers.modules()
                       if isinstance(module, torch.nn.Linear)]).cpu() for each in (lm, other)]  # fmt: skip
    assert kept[0].sum() == kept[1].sum()
    assert (kept[0] == kept[1]).float().mean() > (0.98 if method == "sparsegpt" else 0.999)


@pytest.mark.parametrize("shape", [(1, 2**20 + 3), (3, 4099), (400, 70)])
def test_the_lowest_scores_are_found_without_sorting(shape):
    score = torch.randint(0, 1000, shape, generator=torch.Generator().manual_seed(0)).float()  # with many ties
    for count in (1, shape[1] // 2, shape[1]):
        assert torch.equal(select_lowest(score.cuda(), count).cpu(), select_lowest(score, count))


def test_items_are_scored_as_on_the_cpu():
    lm = tiny_backbone()
    items = [Item("sst2", f"{k:02d}", str(k), ((f"film {k} was", " bad"), (f"film {k} was", " good")), k % 2, "harness")
             for k in range(40)]  # fmt: skip
    one, other = (predict_items(each, items).set_index("item_id")["scores"] for each in (lm, on_gpu(lm)))
    torch.testing.assert_close(
        torch.tensor(other.loc[one.index].tolist()), torch.tensor(one.tolist()), rtol=1e-4, atol=1e-4
    )


def test_a_batch_moves_whole():
    data = MovedData(tiny_backbone())
    batch = next(iter(data.train_dataloader()))
    moved = data.transfer_batch_to_device(batch, torch.device("cuda"), 0)
    assert {getattr(moved, f.name).device.type for f in dataclasses.fields(moved)} == {"cuda"}
