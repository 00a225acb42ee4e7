"""Calibration sets beyond plain texts: mixtures, answered prompts, random tokens, text of the model's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.data.conftest import speaking

from semprune.data import CalibrationDataModule
from semprune.data.calibration.mixtures import parse_mixture, share_sequences
from semprune.data.calibration.text import calibration_text
from semprune.data.calibration.windows import draw_windows, random_tokens
from semprune.data.registry import calibration_names, calibration_spec, dataset_names, dataset_spec
from semprune.data.rows.splits import read_split
from semprune.errors import ConfigurationError, MixtureError, UnknownCalibrationError


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("c4+wiki", "'c4' is not a name with a positive weight"),
        ("c4*0.5+wiki*0.6", "its weights sum to 1.1"),
        ("c4*0.5+c4*0.5", "a set comes twice"),
        ("c4*-1+wiki*2", re.escape("'c4*-1' is not a name with a positive weight")),
        ("c4*0.5", "its weights sum to 0.5"),
        ("c4*nan+wiki*1", "is not a name with a positive weight"),
    ],
)
def test_mixtures_that_cannot_be_read_are_named(text: str, detail: str) -> None:
    with pytest.raises(MixtureError, match=detail):
        CalibrationDataModule(text)


def test_unknown_parts_and_empty_shares_are_named() -> None:
    with pytest.raises(UnknownCalibrationError, match="'wikki'; did you mean 'wiki'"):
        CalibrationDataModule("c4*0.5+wikki*0.5")
    with pytest.raises(MixtureError, match=r"'wiki': a share of 0\.01 of 4 sequences is none of them"):
        CalibrationDataModule("c4*0.99+wiki*0.01", sequences=4)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.integers(60, 400))
def test_shares_sum_and_are_within_one_of_exact(weights: list[int], sequences: int) -> None:
    parts = tuple((str(k), weight / sum(weights)) for k, weight in enumerate(weights))
    if min(weight for _, weight in parts) * sequences < 1:
        return
    counts = share_sequences(parts, sequences)
    assert sum(counts) == sequences
    assert all(abs(count - weight * sequences) < 1 for count, (_, weight) in zip(counts, parts, strict=True))


def test_a_mixture_holds_the_first_windows_of_its_parts(offline: Path, bos_tokenizer: Any) -> None:
    mixed = CalibrationDataModule("c4*0.75+wiki*0.25", sequences=8, length=12, seed=5)
    alone = {name: CalibrationDataModule(name, sequences=8, length=12, seed=5) for name in ("c4", "wiki")}
    for module in (mixed, *alone.values()):
        module.bind(speaking(bos_tokenizer))
        module.setup()
    parts = [*alone["c4"].input_ids[:6].tolist(), *alone["wiki"].input_ids[:2].tolist()]
    assert sorted(mixed.input_ids.tolist()) == sorted(parts)
    assert parse_mixture(mixed.name) == (("c4", 0.75), ("wiki", 0.25))


@pytest.mark.parametrize("name", ["c4*0.5+random_tokens*0.5", "random_tokens*0.5+c4*0.5"])
def test_whoever_reads_a_few_sequences_of_a_mixture_reads_of_every_part(
    offline: Path, bos_tokenizer: Any, name: str
) -> None:
    """As the sharing of a protection and the search of its strength do, of the first ones or every fourth."""
    mixed = CalibrationDataModule(name, sequences=64, length=12, seed=5).bind(speaking(bos_tokenizer))
    random = CalibrationDataModule("random_tokens", sequences=32, length=12, seed=5).bind(speaking(bos_tokenizer))
    is_random = [row in random.calibration_input_ids().tolist() for row in mixed.calibration_input_ids().tolist()]
    assert sum(is_random) == 32
    for few in (is_random[:16], is_random[3:32:4]):
        assert 0.2 < sum(few) / len(few) < 0.8


def test_random_tokens_are_even_ordinary_and_only_added_to(plain_tokenizer: Any) -> None:
    few, many = (random_tokens(plain_tokenizer, sequences, 50, seed=1) for sequences in (3, 40))
    assert torch.equal(few, many[:3])
    ordinary = len(plain_tokenizer) - len(set(plain_tokenizer.all_special_ids))
    assert not set(many.flatten().tolist()) & set(plain_tokenizer.all_special_ids)
    counts = many.flatten().bincount(minlength=len(plain_tokenizer)).double()
    expected = many.numel() / ordinary
    chi2 = float(((counts[counts.argsort()][-ordinary:] - expected) ** 2 / expected).sum())
    assert chi2 < ordinary + 5 * (2 * ordinary) ** 0.5
    assert not torch.equal(many, random_tokens(plain_tokenizer, 40, 50, seed=2))


def test_answered_prompts_are_of_reserved_rows_only(offline: Path) -> None:
    text = calibration_text(calibration_spec("similarity_prompts"))
    evaluated = {example.columns["sentence1"] for example in read_split(dataset_spec("stsb"), "evaluation")}
    assert "Question: Do both sentences mean the same thing?\nAnswer: " in text
    assert all(f"Sentence 1: {sentence}\n" not in text for sentence in evaluated)
    for piece in text.split("\n\n"):
        assert piece.endswith((" no", " yes"))


def test_every_set_of_data_sets_names_known_ones_and_reads_no_evaluated_text(offline: Path) -> None:
    for name in calibration_names():
        spec = calibration_spec(name)
        assert {*spec.documents, *spec.prompts} <= set(dataset_names())
    text = calibration_text(calibration_spec("bbc_news"))
    for example in read_split(dataset_spec("bbc_news"), "evaluation"):
        assert example.columns["text"] not in text


def test_text_of_the_models_own_needs_a_writer(bos_tokenizer: Any) -> None:
    module = CalibrationDataModule("self_generated", sequences=2, length=8, seed=3)
    module.bind(speaking(bos_tokenizer))
    with pytest.raises(ConfigurationError, match="nothing was set to write it"):
        module.setup()
    module.writer = lambda sequences, length, seed: torch.full((sequences, length), seed)
    assert module.calibration_input_ids().tolist() == [[bos_tokenizer.bos_token_id, *[3] * 7]] * 2


def test_windows_of_a_mixture_are_those_that_the_set_alone_would_give() -> None:
    assert torch.equal(draw_windows(range(50), 2, 5, 1), draw_windows(range(50), 6, 5, 1)[:2])
