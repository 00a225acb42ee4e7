"""A fit on a data module of one's own, by the command: quick tries, no logger, loggers that are not installed."""

from pathlib import Path

import lightning
import pytest
from tests.integration.tiny import TinyData, tiny_backbone, tiny_module, tiny_trainer
from torch.utils.data import DataLoader

from semprune.cli.__main__ import main
from semprune.errors import DataContractError


class Plain(lightning.LightningDataModule):
    def train_dataloader(self):
        return DataLoader([{"input_ids": [1, 2]}])

    val_dataloader = train_dataloader


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    lm = tiny_backbone()
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def fit(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*options):
        quiet = ("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--model.decoder_neurons=8")
        concepts = "--model.concepts=[sentiment.positive,language.negation]"
        data = ("--data", "tests.integration.tiny.OwnData")
        return main(["fit", "--backbone.name", str(model), *data, concepts, *quiet, *options])

    return run


def test_without_a_logger_a_fit_writes_into_a_run_folder(fit, tmp_path, capsys):
    for version in (0, 1):
        assert fit("--trainer.logger=false") == 0
        folder = Path("lightning_logs") / "fit" / f"version_{version}"
        assert {path.name for path in folder.iterdir()} >= {
            "association.safetensors", "concepts.parquet", "config.fit.yaml", "checkpoints",
        }  # fmt: skip
        assert f"{folder}/association.safetensors" in capsys.readouterr().out.replace("\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["lightning_logs"]


def test_a_quick_try_runs_both_epochs_and_leaves_nothing(fit, tmp_path, capsys):
    assert fit("--trainer.fast_dev_run=true") == 0
    assert "fast_dev_run: every step ran on a batch; nothing was written." in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


class Missing:
    """What Lightning says of a package that is not there."""

    def __bool__(self):
        return False

    def __str__(self):
        return "Requirement 'wandb>=0.12.10' not met. HINT: Try running `pip install -U 'wandb>=0.12.10'`"


def test_a_logger_that_is_not_installed_is_one_line(fit, capsys, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", Missing())
    assert fit("--trainer.logger=lightning.pytorch.loggers.WandbLogger") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("MissingPackageError: ")
    assert "Install that package into this environment" in said


def test_a_data_module_that_lacks_what_a_fit_reads_is_refused(tmp_path):
    with pytest.raises(DataContractError, match="data module Plain has no datasets, classes, max_length"):
        tiny_trainer(tmp_path).fit(tiny_module(tiny_backbone()), datamodule=Plain())


def test_batches_of_another_kind_are_refused(tmp_path):
    lm = tiny_backbone()
    data = TinyData(lm)
    data.train_dataloader = Plain().train_dataloader
    with pytest.raises(DataContractError, match="has batches of dict"):
        tiny_trainer(tmp_path).fit(tiny_module(lm), datamodule=data)


def test_a_test_needs_items(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = ["--data", "tests.integration.tiny.OwnData", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    assert main(["test", "--backbone.name", str(model), *own]) == 2
    assert "data module OwnData is no EvaluationDataModule" in capsys.readouterr().err
