"""All processes of a study multiply by the same kernels, whoever started it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.models import llama

from semprune.backbones import hardware
from semprune.errors import ConfigurationError
from semprune.study import run
from semprune.study.config.schema import BackboneConfig, StudyConfig
from semprune.study.engines import local as job


class ReachedError(Exception):
    """Says what the process may do to fp32 products when it begins to work."""


def reached(*_: object) -> None:
    raise ReachedError(torch.backends.mkldnn.matmul.fp32_precision)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_study_from_python_takes_the_kernels_of_its_engines_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keeps: bool
) -> None:
    monkeypatch.setattr(hardware, "onednn_keeps_fp32", lambda: keeps)
    monkeypatch.setattr(run, "_run_one", reached)
    monkeypatch.setattr(job, "_backbone", reached)
    before = torch.backends.mkldnn.matmul.fp32_precision
    config = StudyConfig(store=str(tmp_path), output=str(tmp_path))
    with pytest.raises(ReachedError) as own:
        run.run_study(config)
    with pytest.raises(ReachedError) as engines:
        job.work_at(config, None, "")
    assert own.value.args == engines.value.args == ("bf16" if keeps else before,)


def test_one_model_under_two_names_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(run, "_run_one", lambda *_: pytest.fail("worked"))
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        llama().save_pretrained(folder)
    config = StudyConfig(output=str(tmp_path), backbone=BackboneConfig(str(folders[0])), backbones=[str(folders[1])])
    with pytest.raises(ConfigurationError, match=r"one and .*two are one model, LlamaForCausalLM@local:"):
        run.run_study(config)
