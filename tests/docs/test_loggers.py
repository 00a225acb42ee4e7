"""What the page about loggers promises: the scalars of a fit reach W&B and MLflow without a network."""

from __future__ import annotations

import pytest
from lightning.pytorch.loggers import MLFlowLogger, WandbLogger
from tests.integration.tiny import TinyData, tiny_backbone, tiny_module, tiny_trainer

BY_STEP = {"fit/encoding_loss", "fit/decoder_loss"}
"""Every second step of these is logged, so their last value may be an earlier one."""
WHEN = "un-skip with the extra `loggers`"
# both packages, and what they bring, warn of their own dependencies
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def _fit(folder, logger):
    lm = tiny_backbone()
    trainer = tiny_trainer(folder, logger=logger)
    trainer.fit(tiny_module(lm), datamodule=TinyData(lm))
    return {name: float(value) for name, value in trainer.logged_metrics.items()}


def _compare(found, logged):
    assert found.keys() >= logged.keys() >= BY_STEP
    at_the_end = {name: value for name, value in logged.items() if name not in BY_STEP}
    assert at_the_end
    assert {name: found[name] for name in at_the_end} == pytest.approx(at_the_end)


def test_mlflow_has_the_scalars_of_a_fit(tmp_path):
    pytest.importorskip("mlflow", reason=WHEN)
    logger = MLFlowLogger("semprune", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    logged = _fit(tmp_path, logger)
    run = logger.experiment.get_run(logger.run_id)
    _compare(run.data.metrics, logged)


def test_weights_and_biases_has_the_scalars_of_a_fit_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason=WHEN)
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger(save_dir=tmp_path, project="semprune", offline=True)
    logged = _fit(tmp_path, logger)
    summary = dict(logger.experiment.summary)
    wandb.finish()
    _compare(summary, logged)
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
