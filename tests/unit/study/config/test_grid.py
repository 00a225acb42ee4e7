"""Cells, their addresses, claims, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

from semprune.artefacts import UNSTRUCTURED, Cell
from semprune.attribution.gates.settings import GateSettings
from semprune.errors import (
    ConfigurationError,
    EmptyStudyError,
    MixtureError,
    SettingError,
    UnknownCalibrationError,
    UnknownConceptError,
    UnknownPromptError,
    UnknownProtectionError,
)
from semprune.study.config.checks import check
from semprune.study.config.grid import in_groups, pruned_cells, stated
from semprune.study.config.schema import (
    BackboneConfig,
    EngineConfig,
    FitConfig,
    StudyConfig,
    TextConfig,
    one_backbone_each,
)
from semprune.study.store.addresses import LAYOUT, Addresses, declared
from semprune.study.store.store import claim

BACKBONE = ("Llama", "1", "abcdef", "c0", "torch.float32")
WANDA = Cell("wanda", 0.5, "c4", 0, sequences=16, length=256)


@dataclass
class Read:
    """Stands for what a study reads."""

    content: str

    def items(self, dataset: str) -> str:
        return f"{self.content} of {dataset}"

    def fitted(self) -> str:
        return self.content

    def sequences(self, draw: tuple[str, int, int, int], add_bos: bool | None) -> str:
        return f"{self.content} of {draw} {add_bos}"


def addresses(**changes: object) -> Addresses:
    return Addresses(replace(StudyConfig(store="store"), **changes), BACKBONE, Read("own"))


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
        *(
            Addresses(StudyConfig(store="store"), backbone, Read("own")).cell(WANDA)
            for backbone in (
                ("Llama", "1", "abcdeg", "c0", "torch.float32"),
                ("Llama", "1", "abcdef", "c1", "torch.float32"),  # the same weights, another configuration
                ("Llama", "1", "abcdef", "c0", "torch.bfloat16"),
            )
        ),
    ]
    assert len({own, *others}) == 8


def test_gates_that_are_not_learned_leave_the_fit_where_it_was() -> None:
    assert addresses(fit=FitConfig(gate_steps=3)).fit == addresses().fit
    gated = addresses(fit=FitConfig(gates=["movie_reviews.positive"]))
    assert gated.fit != addresses().fit
    check(gated.config)
    with pytest.raises(UnknownConceptError, match=r"movie_reviews\.good"):
        check(StudyConfig(fit=FitConfig(gates=["movie_reviews.good"])))


@pytest.mark.parametrize("change", [{"apart": 0.5}, {"sure": 1.0}, {"start_items": 96}])
def test_how_gates_are_learned_is_part_of_the_address_of_a_fit_that_learns_them(change: dict[str, float]) -> None:
    gated, plain = addresses(fit=FitConfig(gates=["movie_reviews.positive"])), addresses()
    before = gated.fit, plain.fit
    with patch("semprune.study.store.addresses.GateSettings", partial(GateSettings, **change)):
        assert gated.fit != before[0]
        assert plain.fit == before[1]


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


def test_what_is_read_names_what_is_measured_of_it() -> None:
    own, other = addresses(), Addresses(StudyConfig(store="store"), BACKBONE, Read("others"))
    assert own.items("sst2") != other.items("sst2")
    assert own.text != other.text
    assert own.meaning != other.meaning
    assert own.fit != other.fit
    assert own.cell(WANDA) != other.cell(WANDA)
    assert own.cell(Cell("magnitude", 0.5)) == other.cell(Cell("magnitude", 0.5))  # which reads nothing


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
        ({"backbones": ["my/llama", "my--llama"]}, ConfigurationError, "would both be written to runs/study/my--llama"),
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


def test_what_is_protected_is_pruned_beside_what_is_not(tmp_path: Path) -> None:
    config = StudyConfig(methods=["magnitude", "wanda"], protect=["sentiment", "topic*3"])
    assert [cell.calibration for cell in pruned_cells(config)] == [
        "", "c4", "c4 keeping sentiment", "c4 keeping topic*3",
    ]  # fmt: skip
    check(config)
    with pytest.raises(UnknownProtectionError, match="sentiment"):
        check(replace(config, protect=["sentimental"]))
    with pytest.raises(SettingError, match="sentiment\\*3"):
        check(replace(config, protect=["sentiment*much"]))
    check(replace(config, protect=["sentiment+sms_spam"]))
    for wrong in ("sentiment+", "sentiment+sentiment"):
        with pytest.raises(SettingError, match="protect"):
            check(replace(config, protect=[wrong]))
    with pytest.raises(UnknownProtectionError, match="sentimental"):
        check(replace(config, protect=["sentiment+sentimental"]))


def test_what_a_protection_shares_by_is_part_of_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    before = declared("c4 keeping sentiment"), declared("c4")
    monkeypatch.setattr("semprune.study.store.addresses.SHARING", "otherwise")
    assert declared("c4 keeping sentiment") != before[0]
    assert declared("c4") == before[1]


def test_what_a_strength_is_chosen_by_is_part_of_the_address_of_a_chosen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = declared("c4 keeping sentiment*auto"), declared("c4 keeping sentiment*3")
    monkeypatch.setattr("semprune.study.store.addresses.SEARCH", "otherwise")
    assert declared("c4 keeping sentiment*auto") != before[0]
    assert declared("c4 keeping sentiment*3") == before[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protect": ["sentiment", "sentiment*1"]}, "names each value once"),
        ({"protect": ["general+sentiment"], "patterns": ["2:4"]}, "runs of a pattern share nothing"),
        ({"protect": ["general*3"]}, "general alone"),
        ({"protect": ["sms_spam.angry"]}, "sms_spam or one of its classes"),
    ],
)
def test_protections_that_cannot_be_or_are_the_same_are_refused_before_anything_runs(changes, said) -> None:
    check(StudyConfig(methods=["magnitude", "wanda"], protect=["general"], patterns=["2:4"]))
    with pytest.raises(SettingError, match=said):
        check(replace(StudyConfig(methods=["magnitude", "wanda"]), **changes))


def test_a_protected_cell_has_an_address_of_its_own_that_follows_its_file(tmp_path: Path) -> None:
    words = tmp_path / "shop.txt"
    words.write_text("refund\n", encoding="utf-8")
    found = []
    for name in ("sentiment", "sentiment*3", str(words)):
        found.append(addresses().cell(replace(WANDA, calibration=f"c4 keeping {name}")))
    words.write_text("return\n", encoding="utf-8")
    found += [addresses().cell(replace(WANDA, calibration=f"c4 keeping {words}")), addresses().cell(WANDA)]
    assert len(set(found)) == 5


def test_a_study_has_no_cell_of_general_where_nothing_is_shared():
    config = StudyConfig(methods=["wanda", "sparsegpt"], patterns=["2:4"], protect=["general", "sentiment"])
    found = [(cell.method, cell.pattern) for cell in pruned_cells(config) if cell.calibration == "c4 keeping general"]
    assert found == [("wanda", UNSTRUCTURED), ("sparsegpt", UNSTRUCTURED)]
    assert sum(cell.calibration == "c4 keeping sentiment" for cell in pruned_cells(config)) == 4
