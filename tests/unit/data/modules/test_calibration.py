"""Calibration sequences: windows of a text, their hash, their batches."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models import byte_level_tokenizer
from tests.unit.data.conftest import speaking
from tokenizers.processors import TemplateProcessing
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from semprune.data import CalibrationDataModule, CalibrationSettings, EvaluationDataModule, calibration_spec
from semprune.data.calibration.text import calibration_text
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


def test_calibration_gives_windows_of_the_text(offline: Path, plain_tokenizer: PreTrainedTokenizerFast) -> None:
    module = CalibrationDataModule("wiki", sequences=5, length=16, batch_size=2)
    module.bind(speaking(plain_tokenizer))
    module.prepare_data()
    ids = module.calibration_input_ids()
    assert ids.shape == (5, 16)
    assert module.token_hash == hash_tokens(ids)
    assert (
        plain_tokenizer.decode(ids[0]) in "One short text called wiki. It goes on for a while, and then it ends.\n" * 40
    )
    batches = list(module.calibration_dataloader())
    assert [batch.input_ids.shape[0] for batch in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([batch.input_ids for batch in batches]), ids)
    assert all(batch.attention_mask.all() and (batch.label == -1).all() for batch in batches)
    assert sorted(n for batch in module.train_dataloader() for n in batch.document.tolist()) == [0, 1, 2, 3, 4]


def windows(tokenizer: Any, **settings: Any) -> CalibrationDataModule:
    return CalibrationDataModule("wiki", **{"sequences": 5, "length": 16, **settings}).bind(speaking(tokenizer))


def test_windows_begin_as_the_tokenizer_begins_texts(offline: Path, bos_tokenizer: PreTrainedTokenizerFast) -> None:
    module, bos = windows(bos_tokenizer, seed=4), bos_tokenizer.bos_token_id
    ids = module.calibration_input_ids()
    assert ids.shape == (5, 16)
    assert (ids == bos).sum(dim=1).tolist() == [1] * 5
    assert ids[:, 0].tolist() == [bos] * 5
    assert (module.prefix, module.first_predicted, module.token_hash) == ((bos,), 1, hash_tokens(ids))
    published = windows(bos_tokenizer, seed=4, length=15, add_bos=False)
    assert torch.equal(ids[:, 1:], published.calibration_input_ids())
    assert published.prefix == ()


def test_a_tokenizer_that_adds_nothing_changes_nothing_unless_it_is_told(offline: Path, plain_tokenizer: Any) -> None:
    text = plain_tokenizer(calibration_text(calibration_spec("wiki")))["input_ids"]
    cut = draw_windows(text, 5, 16, 0)
    assert torch.equal(windows(plain_tokenizer).calibration_input_ids(), cut)
    assert torch.equal(windows(plain_tokenizer, add_bos=False).calibration_input_ids(), cut)
    told = windows(plain_tokenizer, add_bos=True).calibration_input_ids()
    assert torch.equal(told[:, 1:], draw_windows(text, 5, 15, 0))
    assert told[:, 0].tolist() == [plain_tokenizer.bos_token_id] * 5


def test_every_kind_of_sequence_and_every_part_of_a_mixture_begins_so(offline: Path, bos_tokenizer: Any) -> None:
    mixed = CalibrationDataModule("wiki*0.5+random_tokens*0.5", sequences=4, length=8).bind(speaking(bos_tokenizer))
    ids = mixed.calibration_input_ids()
    assert ids.shape == (4, 8)
    assert ids[:, 0].tolist() == [bos_tokenizer.bos_token_id] * 4


def test_an_evaluation_hands_the_choice_on(offline: Path, bos_tokenizer: Any) -> None:
    for add_bos, first in ((None, {0}), (False, set(range(1, 400)))):
        settings = CalibrationSettings("wiki", 2, 8, add_bos=add_bos)
        data = EvaluationDataModule(["sst2"], calibration=settings).bind(speaking(bos_tokenizer))
        assert data.calibration is not None
        data.calibration.setup()
        assert set(data.calibration.input_ids[:, 0].tolist()) <= first


def test_sequences_no_longer_than_their_special_tokens_are_refused(offline: Path) -> None:
    around = TemplateProcessing(single="</s> <s> $A", special_tokens=[("<s>", 0), ("</s>", 1)])
    two = byte_level_tokenizer(["One short text"], 300, around=around)
    assert windows(two, length=3).first_predicted == 2
    with pytest.raises(SettingError, match="calibration length must be at least 3"):
        windows(two, length=2).setup()


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
