"""Calibration sequences: windows of a text, their hash, their batches."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.data.conftest import speaking
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from semprune.data import CalibrationDataModule, EvaluationDataModule
from semprune.data.calibration.windows import draw_windows, hash_tokens
from semprune.errors import ConfigurationError, EmptyCalibrationError, SettingError


def test_windows_do_not_overlap_and_more_sequences_only_add() -> None:
    drawn = draw_windows(range(100), sequences=8, length=12, seed=3)
    assert sorted(drawn[:, 0].tolist()) == [0, 12, 24, 36, 48, 60, 72, 84]
    assert torch.equal(drawn - drawn[:, :1], torch.arange(12).expand(8, 12))
    assert torch.equal(draw_windows(range(100), 3, 12, seed=3), drawn[:3])
    assert not torch.equal(draw_windows(range(100), 8, 12, seed=4), drawn)


def test_too_short_a_text_is_refused() -> None:
    with pytest.raises(EmptyCalibrationError, match="'toy' has 7 tokens, fewer than one sequence of 8"):
        draw_windows(range(7), 1, 8, 0, calibration="toy")
    with pytest.raises(EmptyCalibrationError, match="has 23 tokens, fewer than 3 sequences of 8"):
        draw_windows(range(23), 3, 8, 0)


def test_the_token_hash_is_sha256_of_shape_and_ids() -> None:
    expected = hashlib.sha256(b"(1, 2)" + (5).to_bytes(8, "little") + (300).to_bytes(8, "little")).hexdigest()
    assert hash_tokens(torch.tensor([[5, 300]])) == expected
    assert hash_tokens(torch.tensor([[5], [300]])) != expected


def test_calibration_gives_windows_of_the_text(offline: Path, bos_tokenizer: PreTrainedTokenizerFast) -> None:
    module = CalibrationDataModule("wiki", sequences=5, length=16, batch_size=2)
    module.bind(speaking(bos_tokenizer))
    module.prepare_data()
    ids = module.calibration_input_ids()
    assert ids.shape == (5, 16)
    assert module.token_hash == hash_tokens(ids)
    text = bos_tokenizer.decode(ids[0])
    assert "<s>" not in text
    assert text in "One short text called wiki. It goes on for a while, and then it ends.\n" * 40
    batches = list(module.calibration_dataloader())
    assert [batch.input_ids.shape[0] for batch in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([batch.input_ids for batch in batches]), ids)
    assert all(batch.attention_mask.all() and (batch.label == -1).all() for batch in batches)
    assert sorted(n for batch in module.train_dataloader() for n in batch.document.tolist()) == [0, 1, 2, 3, 4]


def test_lengths_that_the_model_cannot_read_are_refused(offline: Path, plain_tokenizer: Any) -> None:
    module = CalibrationDataModule("c4", sequences=1, length=300)
    module.bind(speaking(plain_tokenizer))
    with pytest.raises(SettingError, match=r"calibration length must be at most 256, .* got 300"):
        module.setup()


def test_a_bare_model_is_bound_with_its_tokenizer_and_says_what_it_reads(plain_tokenizer: Any) -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=8, n_layer=1, n_head=1, n_positions=24))
    module = CalibrationDataModule("c4", sequences=1, length=25).bind(model, plain_tokenizer)
    assert (module.tokenizer, module.context_length) == (plain_tokenizer, 24)
    with pytest.raises(SettingError, match="at most 24"):
        module.setup()
    with pytest.raises(ConfigurationError, match="its tokenizer is not known"):
        module.bind(model)
    evaluation = EvaluationDataModule(["sst2"], documents=["movie_reviews"]).bind(speaking(plain_tokenizer, 99))
    assert [part.context_length for part in (evaluation, evaluation.calibration, evaluation.documents)] == [99] * 3
