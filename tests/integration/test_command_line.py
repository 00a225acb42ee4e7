"""What a user's mistakes look like: one typed line, exit status 2, nothing computed."""

import pytest
import yaml

from semprune.cli.__main__ import main
from semprune.study import StudyConfig
from semprune.study.config.grid import pruned_cells


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"datasets": ["sst-2"]}, "UnknownDatasetError: unknown data set 'sst-2'; did you mean 'sst2'?"),
        ({"patterns": ["4:2"]}, "SettingError: pattern must be N:M with 0 < N < M"),
        ({"methods": ["wnda"]}, "UnknownMethodError: unknown pruning method 'wnda'; did you mean 'wanda'?"),
        (
            {"methods": ["ria:permutation=snake"]},
            "SettingError: permutation must be 'none' where there is no N:M pattern",
        ),
        ({"sparsities": [50]}, "SparsityRangeError: sparsity must be in [0, 1), got 50. A percentage? Pass 0.5."),
        ({"sparsities": [-0.1]}, "SparsityRangeError: sparsity must be in [0, 1), got -0.1."),
        ({"calibrations": ["c5"]}, "UnknownCalibrationError: unknown calibration set 'c5'; did you mean 'c4'?"),
        ({"seeds": []}, "EmptyStudyError: the study's `seeds` is empty"),
        ({"backbone": {"name": "smolm2-135m"}}, "UnknownBackboneError: unknown backbone 'smolm2-135m'"),
    ],
)
def test_a_mistake_in_a_study_is_named_before_work_starts(change, said, tmp_path, capsys):
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump({"output": str(tmp_path / "run"), **change}))
    assert main(["study", "--config", str(config)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "fit").exists()


def test_a_key_with_a_typo_is_refused(tmp_path, capsys):
    config = tmp_path / "study.yaml"
    config.write_text("sparsity: [0.5]\n")
    assert main(["study", "--config", str(config)]) == 2
    assert "'sparsity' is unknown; did you mean 'sparsities'?" in capsys.readouterr().err


def test_a_report_without_results_says_what_to_do(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "CorruptArtefactError" in capsys.readouterr().err


def test_a_damaged_results_file_is_named(tmp_path, capsys):
    (tmp_path / "results.parquet").write_bytes(b"no parquet")
    assert main(["report", str(tmp_path)]) == 2
    assert "results.parquet" in capsys.readouterr().err


def test_unknown_commands_and_assets(capsys):
    assert main(["prun"]) == 2
    assert main(["assets", "get", "smollm"]) == 2
    assert "did you mean 'smollm2-135m'?" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("fit", "test", "study", "report", "assets"))


def test_patterns_are_cells_of_a_study():
    config = StudyConfig(methods=["magnitude", "wanda"], sparsities=[], patterns=["2:4"], seeds=[0, 1])
    cells = list(pruned_cells(config))
    assert [cell.label for cell in cells] == ["magnitude-2of4", "wanda-2of4-c4-32x256-0", "wanda-2of4-c4-32x256-1"]
    assert cells[0].columns == {
        "method": "magnitude", "pattern": "2:4", "sparsity": 0.5, "calibration": "", "seed": 0,
        "calibration_sequences": 0, "calibration_length": 0,
    }  # fmt: skip
    assert cells[0].settings == {"pattern": "2:4"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fit": {"concepts": []}}, "SettingError: fit.concepts must be one concept or more"),
        ({"fit": {"datasets": []}}, "SettingError: fit.datasets must be one data set or more"),
        (
            {"causal": {"family": "nothing"}},
            "SettingError: causal.family must be a family of the fit's data sets with classes (",
        ),
        ({"causal": {"dataset": "piqa"}}, "SettingError: causal.dataset must be a data set with classes"),
    ],
)
def test_what_a_study_would_find_out_late_is_refused_before_anything_is_read(change, said, tmp_path, capsys):
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump({"output": str(tmp_path / "run"), **change}))
    assert main(["study", "--config", str(config)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_configuration_that_is_no_text_is_one_line(tmp_path, capsys):
    (tmp_path / "study.yaml").write_bytes(b"output: \xff\xfe\n")
    assert main(["study", "--config", str(tmp_path / "study.yaml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--trainer.devices=0", "TrainerRefusedError: Lightning refuses this configuration: "),
        ("--trainer.strategy=none", "TrainerRefusedError: Lightning refuses this configuration: "),
        ("--data=null", "ConfigurationError: semprune fit needs data: pass --data, as in configs/fit.yaml."),
    ],
)
def test_what_lightning_refuses_is_one_line(option, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = [] if option == "--data=null" else ["--data=DocumentDataModule", "--data.datasets=[movie_reviews]"]
    assert main(["fit", *data, "--trainer.accelerator=cpu", option]) == 2
    assert said in capsys.readouterr().err
