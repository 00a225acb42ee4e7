"""Cells, their addresses, claims, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from tests.models import byte_level_tokenizer
from tokenizers.processors import TemplateProcessing

from semprune.artefacts import Cell
from semprune.data.hashes import hash_declaration
from semprune.errors import (
    ConfigurationError,
    EmptyStudyError,
    MixtureError,
    SettingError,
    UnknownCalibrationError,
    UnknownPromptError,
)
from semprune.evaluation.engine.request_scorer import ENGINE_VERSION
from semprune.study.config.checks import check
from semprune.study.config.grid import in_groups, pruned_cells, stated
from semprune.study.config.schema import BackboneConfig, EngineConfig, StudyConfig, TextConfig, one_backbone_each
from semprune.study.store.addresses import LAYOUT, Addresses, content_hash
from semprune.study.store.store import claim

BACKBONE = ("Llama@1:abc", "abcdef", "torch.float32")
WANDA = Cell("wanda", 0.5, "c4", 0, sequences=16, length=256)


def addresses(**changes: object) -> Addresses:
    return Addresses(replace(StudyConfig(store="store"), **changes), BACKBONE)


def test_the_grid_is_every_size_length_and_seed_once() -> None:
    config = StudyConfig(
        methods=["magnitude", "wanda", "ria"], sparsities=[0.3, 0.5], patterns=["2:4"], calibrations=["c4", "wiki"],
        calibration_sequences=[4, 8], calibration_length=[16, 32], seeds=[0, 1],
    )  # fmt: skip
    cells = list(pruned_cells(config))
    assert len(cells) == len(set(cells)) == 3 + 2 * 3 * 2 * 2 * 2 * 2
    groups = in_groups(cells)
    assert [len(group) for group in groups] == [3] + [6] * 16
    assert len({group[0].draw for group in groups}) == 17
    assert {(cell.sequences, cell.length) for cell in cells if cell.calibration} == {(4, 16), (4, 32), (8, 16), (8, 32)}
    assert [cell.calibration for cell in stated(cells[0], config)] == ["c4", "wiki"]
    assert stated(cells[-1], config) == [cells[-1]]


def test_a_cell_is_shared_by_studies_that_differ_elsewhere() -> None:
    own = addresses().cell(WANDA)
    for change in (
        {"datasets": ["sst2"]}, {"limit": 7}, {"methods": ["ria"]}, {"output": "elsewhere"}, {"seeds": [3]},
        {"text": TextConfig("tiny")}, {"engine": EngineConfig("ray", 4)}, {"neurons_per_concept": 9},
    ):  # fmt: skip
        assert addresses(**change).cell(WANDA) == own
    others = [
        addresses(statistics="dense").cell(WANDA),
        addresses().cell(replace(WANDA, seed=1)),
        addresses().cell(replace(WANDA, length=128)),
        addresses().cell(replace(WANDA, calibration="wiki")),
        Addresses(StudyConfig(store="store"), ("Llama@1:abc", "abcdeg", "torch.float32")).cell(WANDA),
        Addresses(StudyConfig(store="store"), ("Llama@1:abc", "abcdef", "torch.bfloat16")).cell(WANDA),
    ]
    assert len({own, *others}) == 7


def test_each_part_depends_on_its_own_settings_only() -> None:
    own = addresses()
    assert addresses(datasets=["sst2"]).items("sst2") == own.items("sst2")
    assert addresses(limit=7).items("sst2") != own.items("sst2") != own.items("mrpc")
    assert addresses(limit=7).text == own.text != addresses(text=TextConfig("tiny")).text
    assert addresses(limit=7).meaning == own.meaning != addresses(neurons_per_concept=9).meaning
    magnitude = Cell("magnitude", 0.5)
    assert addresses(statistics="dense").cell(magnitude) == own.cell(magnitude)


def test_nothing_of_another_layout_is_read() -> None:
    own = addresses()
    before = own.fit, own.cell(WANDA)
    with patch("semprune.study.store.addresses.LAYOUT", LAYOUT + 1):
        assert own.fit != before[0]
        assert own.cell(WANDA) != before[1]


def test_how_items_are_asked_names_them_only_where_it_is_not_the_first_wording_without_examples() -> None:
    own = addresses()
    content = [ENGINE_VERSION, own.config.limit, own.config.token_budget, hash_declaration("sst2")]
    assert own.items("sst2") == f"sst2-{content_hash(content)}"  # stores of before these settings stay readable
    changes = ({"prompt": "all"}, {"prompt": "review"}, {"shots": 2}, {"chat": True})
    asked = [addresses(**change).items("sst2") for change in changes]
    assert len({own.items("sst2"), *asked}) == 5


def test_addresses_of_a_default_study_are_what_they_were_before_there_were_such_settings() -> None:
    # Written down from a checkout without prompt, shots and chat; the declaration and the engine are held fixed.
    with patch.multiple("semprune.study.store.addresses", ENGINE_VERSION=1, hash_declaration=lambda name: f"of {name}"):
        for own in (addresses(), addresses(prompt=None, shots=0, chat=False)):
            assert own.items("sst2") == "sst2-41459ba32e25"
            assert own.items("piqa") == "piqa-c02debfbeac3"
            assert own.meaning == "meaning-d81bd16a8d92"


def test_special_tokens_of_windows_name_what_is_read_from_them() -> None:
    plain = addresses()
    # Written down before windows had special tokens: a tokenizer that adds none keeps its addresses.
    assert (plain.cell(WANDA).name, plain.text) == ("wanda-0.5-c4-16x256-0-37b10b882142", "text-7f8c5157875b")
    bos, glm = (special_tokens_of(prefix) for prefix in ((0,), (0, 1)))
    assert len({each.cell(WANDA) for each in (plain, bos, glm)}) == 3
    assert len({each.text for each in (plain, bos, glm)}) == 3
    magnitude = Cell("magnitude", 0.5)  # looks at no data
    assert plain.cell(magnitude) == bos.cell(magnitude)


def special_tokens_of(prefix: tuple[int, ...]) -> Addresses:
    return Addresses(StudyConfig(store="store"), BACKBONE, calibration_prefix=prefix, text_prefix=prefix)


def test_the_choice_counts_by_what_it_comes_to() -> None:
    around = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    fingerprint = SimpleNamespace(weights_sha256="abc")
    plain, bos = (byte_level_tokenizer(["a"], 300, around=each) for each in (None, around))
    for tokenizer, own in ((plain, ()), (bos, (0,))):
        lm = SimpleNamespace(tokenizer=tokenizer, fingerprint=fingerprint, dtype="float32")
        for asked, prefix in ((None, own), (False, ()), (True, (0,))):
            config = StudyConfig(store="store", calibration_add_bos=asked, text=TextConfig(add_bos=asked))
            found = Addresses.of(config, lm)  # type: ignore[arg-type]  # as far as it is asked
            assert (found.calibration_prefix, found.text_prefix) == (prefix, prefix)
            expected = replace(found, config=StudyConfig(store="store"))
            assert (found.cell(WANDA), found.text) == (expected.cell(WANDA), expected.text)
            assert found.template == ("<s>None" if own else "None")  # whose chat prompts it may begin


def test_the_first_prompt_by_its_name_and_the_only_one_of_all_are_measured_once() -> None:
    own = addresses()
    assert addresses(prompt="harness").items("sst2") == own.items("sst2")
    assert addresses(prompt="all").items("piqa") == own.items("piqa")  # which has one wording


def test_the_chat_template_names_what_is_asked_as_a_chat_and_nothing_else() -> None:
    plain, chat = (replace(StudyConfig(store="store"), chat=chat) for chat in (False, True))
    assert Addresses(chat, BACKBONE, "a").items("sst2") != Addresses(chat, BACKBONE, "b").items("sst2")
    assert Addresses(plain, BACKBONE, "a").items("sst2") == Addresses(plain, BACKBONE, "b").items("sst2")


def test_a_prompt_that_a_data_set_lacks_and_negative_shots_are_refused() -> None:
    with pytest.raises(UnknownPromptError, match="poem"):
        check(StudyConfig(prompt="poem"))
    with pytest.raises(SettingError, match="shots"):
        check(StudyConfig(shots=-1))


def test_a_claim_is_exclusive_and_free_once_its_owner_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "cell.lock"
    # the lock alone: a process that imports the package takes long to start
    hold = (
        "import sys, time; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
        "print(1, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", hold, str(path)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"1\n"
    with claim(path) as mine:
        assert not mine
    owner.kill()
    owner.communicate()
    with claim(path) as mine:
        assert mine
    with claim(path, wait=True) as mine:  # and again
        assert mine


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"calibrations": ["c4*0.5+wikki*0.5"]}, UnknownCalibrationError, "did you mean 'wiki'"),
        ({"calibrations": ["c4+wiki"]}, MixtureError, "'c4' is not a name with a positive weight"),
        ({"calibrations": ["c4*0.9+wiki*0.1"], "calibration_sequences": [64, 2]}, MixtureError, "of 2 sequences"),
        ({"calibration_length": []}, EmptyStudyError, "calibration_length"),
        ({"seeds": [0, 0]}, SettingError, "names each value once"),
        ({"statistics": "densely"}, SettingError, "'sequential' or 'dense'"),
        ({"engine": EngineConfig("rai")}, SettingError, "one of local, ray, slurm"),
        ({"engine": EngineConfig(workers=0)}, SettingError, r"engine\.workers must be at least 1"),
        ({"backbones": ["smollm2-135m"]}, ConfigurationError, "which is `backbone` already"),
    ],
)
def test_what_cannot_run_is_refused(changes, error, said) -> None:
    with pytest.raises(error, match=said):
        check(replace(StudyConfig(), **changes))


def test_several_backbones_are_a_study_each() -> None:
    config = StudyConfig(output="run", backbone=BackboneConfig("a", "bfloat16"), backbones=["org/b"])
    first, second = one_backbone_each(config)
    assert (first.output, second.output) == ("run/a", "run/org--b")
    assert (first.backbone, second.backbone) == (BackboneConfig("a", "bfloat16"), BackboneConfig("org/b", "bfloat16"))
    assert not first.backbones
    assert not second.backbones
    assert one_backbone_each(StudyConfig()) == [StudyConfig()]
