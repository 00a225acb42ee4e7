"""A study's sequences: calibration and held-out text begin as they are told, each by its own setting."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tests.integration.tiny import TEXTS, tiny_backbone
from tokenizers.processors import TemplateProcessing

from semprune.backbones import Backbone
from semprune.study.cell.study_data import StudyData
from semprune.study.config.schema import StudyConfig, TextConfig

C4 = ("c4", 3, 8, 0)


@pytest.fixture
def lm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """Its tokenizer begins texts with two tokens, </s> and <s>."""
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path))
    monkeypatch.setattr("semprune.data.modules.calibration.fetch_calibration", lambda spec, source: None)
    monkeypatch.setattr("semprune.data.calibration.text.read_text", lambda spec, source: " ".join(TEXTS))
    lm = tiny_backbone()
    around = TemplateProcessing(single="</s> <s> $A", special_tokens=[("<s>", 0), ("</s>", 1)])
    lm.tokenizer.backend_tokenizer.post_processor = around
    return lm


def test_calibration_and_text_have_a_choice_each(lm: Backbone) -> None:
    data = StudyData(StudyConfig(text=TextConfig("c4", 3, 8, add_bos=False)), lm)
    assert data.calibration(C4).calibration_input_ids()[:, :2].tolist() == [[1, 0]] * 3
    assert not (data.text < 2).any()  # the same text, length and seed, yet other windows
    assert data.text_windows.first_predicted == 1
    turned = StudyData(StudyConfig(calibration_add_bos=False, text=TextConfig("c4", 3, 8)), lm)
    assert torch.equal(turned.calibration(C4).calibration_input_ids(), data.text)
    assert torch.equal(turned.text, data.calibration(C4).calibration_input_ids())
    assert turned.text_windows.first_predicted == 2


def test_a_model_writes_its_own_text_behind_its_special_tokens(lm: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[list[int]]] = []
    hook = lm.model.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["input_ids"].tolist()), with_kwargs=True
    )
    ids = StudyData(StudyConfig(), lm).calibration(("self_generated", 3, 8, 0)).calibration_input_ids()
    hook.remove()
    assert ids.shape == (3, 8)
    assert ids[:, :2].tolist() == [[1, 0]] * 3
    assert read[0] == [[1, 0]] * len(read[0])
    assert len(read) == 6  # six tokens are its own
    plain = dataclasses.replace(lm, tokenizer=tiny_backbone().tokenizer)
    other = StudyData(StudyConfig(), plain).calibration(("self_generated", 3, 6, 0)).calibration_input_ids()
    assert not torch.equal(other, ids[:, 2:])  # kept under another name
