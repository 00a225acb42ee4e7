"""Items to evaluate, and settings that are refused before anything is read."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from tests.unit.data.conftest import speaking
from transformers import PreTrainedTokenizerFast

from semprune.data import CalibrationSettings, DocumentSettings, EvaluationDataModule
from semprune.errors import (
    CalibrationMissingError,
    PromptTooLongError,
    RenamedSettingError,
    SettingError,
    UnknownCalibrationError,
    UnknownDatasetError,
)
from semprune.errors.data import RENAMED

SETS = ["movie_reviews", "bbc_news"]


def test_moved_batches_keep_their_items(offline: Path, plain_tokenizer: Any) -> None:
    module = EvaluationDataModule(["sst2"], calibration=None)
    module.bind(speaking(plain_tokenizer))
    module.setup()
    (loader,) = module.test_dataloader()
    (batch,) = loader
    moved = module.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved is batch
    assert {encoded.item for encoded in moved.items} == set(module.items)
    with pytest.raises(CalibrationMissingError, match="data module EvaluationDataModule offers none"):
        module.calibration_input_ids()


def test_the_limit_and_the_hash_name_the_items(offline: Path, plain_tokenizer: Any) -> None:
    hashes = []
    for limit in (None, 1):
        module = EvaluationDataModule(["sst2", "mrpc"], limit=limit, calibration=None)
        module.bind(speaking(plain_tokenizer))
        module.setup()
        hashes.append(module.data_hash)
        assert [item.dataset for item in module.items] == ["sst2", "sst2", "mrpc", "mrpc"][:: 1 if limit is None else 2]
    assert hashes[0] != hashes[1]


def test_all_prompts_ask_about_the_same_examples(offline: Path, plain_tokenizer: Any) -> None:
    module = EvaluationDataModule(["sst2", "piqa"], limit=1, prompt="all", calibration=None)
    module.bind(speaking(plain_tokenizer))
    module.setup()
    asked = [(item.dataset, item.prompt) for item in module.items]
    wordings = ["harness", "review", "good_or_bad", "liked", "terrible_or_great"]
    assert asked == [*(("sst2", name) for name in wordings), ("piqa", "harness")]
    assert len({item.item_id for item in module.items[:5]}) == 1


def test_shots_and_chat_reach_the_items(offline: Path, plain_tokenizer: Any) -> None:
    module = EvaluationDataModule(["mmlu"], shots=1, chat=True, calibration=None)
    speaker = copy.deepcopy(plain_tokenizer)
    module.bind(speaking(speaker))
    speaker.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    module.setup()
    (item,) = module.items
    assert item.prompt == "harness+1shots+chat"
    assert item.requests[0][0].startswith("[user]The following are")
    assert "Answer: C\n\n" in item.requests[0][0]


def test_a_prompt_longer_than_the_context(offline: Path, plain_tokenizer: PreTrainedTokenizerFast) -> None:
    for truncate in ("error", "left"):
        module = EvaluationDataModule(["commonsense_qa"], truncate=truncate, calibration=None)
        module.bind(speaking(plain_tokenizer, 20))
        module.setup()
        if truncate == "error":
            with pytest.raises(PromptTooLongError, match="data set 'commonsense_qa', item '1afa'"):
                module.test_dataloader()
        else:
            (batch,) = module.test_dataloader()[0]
            (row,) = batch.items[0].rows
            assert len(row) == 20
            assert plain_tokenizer.decode(row).endswith("\nAnswer: ")  # " A" is two tokens; its last is never read


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"datasets": ["sst3"]}, UnknownDatasetError, "did you mean 'sst2'"),
        ({"datasets": []}, SettingError, r"datasets must be one or more data sets, each once, got \[\]"),
        ({"datasets": ["sst2", "sst2"]}, SettingError, "each once"),
        ({"datasets": ["sst2"], "documents": ["moovie_reviews"]}, UnknownDatasetError, "did you mean 'movie_reviews'"),
        ({"datasets": ["sst2"], "calibration": "c5"}, UnknownCalibrationError, "unknown calibration set 'c5'"),
        ({"datasets": ["sst2"], "limit": 0}, SettingError, "limit must be at least 1, or null for all, got 0"),
        ({"datasets": ["sst2"], "seed": -1}, SettingError, "seed must be at least 0, got -1"),
        ({"datasets": ["sst2"], "truncate": "right"}, SettingError, "truncate must be error or left, got 'right'"),
        ({"datasets": ["sst2"], "source": "web"}, SettingError, "source must be auto, hub or offline, got 'web'"),
        (
            {"datasets": ["sst2"], "calibration": CalibrationSettings("c4", sequences=0)},
            SettingError,
            "calibration sequences must be at least 1",
        ),
        (
            {"datasets": ["sst2"], "documents": DocumentSettings(SETS, validation_share=1.0)},
            SettingError,
            r"validation_share must be in \[0, 1\), got 1.0",
        ),
    ],
)
def test_settings_are_checked_before_anything_is_read(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        EvaluationDataModule(**settings)


def test_settings_by_the_names_that_they_had_before_say_the_new_ones() -> None:
    for old, new in RENAMED.items():
        with pytest.raises(RenamedSettingError, match=rf"no option '{old}' any more: .*--data\.{re.escape(new)}`"):
            EvaluationDataModule(["sst2"], **{old: 1})


def test_a_name_alone_stands_for_the_default_settings() -> None:
    named = EvaluationDataModule(["sst2"], calibration="wiki", documents=SETS)
    full = EvaluationDataModule(
        ["sst2"], seed=0, calibration=CalibrationSettings("wiki"), documents=DocumentSettings(SETS)
    )
    for one, other in ((named.calibration, full.calibration), (named.documents, full.documents)):
        assert {key: value for key, value in vars(one).items() if not key.startswith("_")} == {
            key: value for key, value in vars(other).items() if not key.startswith("_")
        }


def test_settings_on_a_command_line() -> None:
    arguments = ["--data.datasets", "[sst2,piqa]", "--data.calibration", "wiki", "--data.documents", "[movie_reviews]"]
    arguments += ["--data.limit", "null", "--data.truncate", "left"]
    parser = ArgumentParser()
    parser.add_class_arguments(EvaluationDataModule, "data")  # as LightningCLI does
    module = parser.instantiate(parser.parse_args(arguments)).data
    assert module.datasets == ("sst2", "piqa")
    assert module.calibration.name == "wiki"
    assert module.documents.datasets == ("movie_reviews",)
    assert (module.limit, module.truncate) == (None, "left")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.dataset", "[sst2]"], "data.dataset"),
        (["--data.datasets", "[sst2]", "--data.truncate", "right"], "data.truncate"),
        (["--data.datasets", "[sst2]", "--data.limit", "many"], "data.limit"),
    ],
)
def test_wrong_settings_on_a_command_line(arguments: list[str], message: str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(EvaluationDataModule, "data")
    with pytest.raises(ArgumentError, match=message):
        parser.parse_args(arguments)
