"""Shipped configurations: by name, by the repository's path anywhere, and never before a file of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from semprune.cli.__main__ import main
from semprune.cli.commands.study import study_parser
from semprune.cli.dispatch import PARSERS
from semprune.cli.parsing import shipped
from semprune.cli.parsing.shipped import SHIPPED, shipped_configs, with_shipped
from semprune.errors import ConfigurationError, UnknownConfigurationError

HERE = Path(__file__).parents[4] / "configs"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_checkout_is_used_where_the_package_holds_none():
    assert SHIPPED.resolve() == HERE
    assert shipped._PLACES[0] == Path(shipped.__file__).parents[2] / "configs"  # where the wheel has them


def test_every_configuration_of_a_command_has_a_name_of_its_own():
    named = [path for command in (*PARSERS, "fit", "test") for path in shipped_configs(command).values()]
    parts = {HERE / name for name in ("backbone", "data", "trainer")}
    assert sorted(named) == sorted(
        path for path in HERE.rglob("*.yaml") if path.parent not in parts and path.stem != "own"
    )


@pytest.mark.parametrize(
    "given", [["--config", "quickstart"], ["--config=quickstart"], ["--config", "quickstart.yaml"]]
)
def test_a_study_is_found_by_its_name(given):
    parsed = PARSERS["study"]().parse_args([*given, "--limit", "7"])
    assert parsed.methods == yaml.safe_load((HERE / "study/quickstart.yaml").read_text())["methods"]
    assert parsed.limit == 7


def test_an_own_file_wins(elsewhere):
    (elsewhere / "quickstart").write_text("limit: 3\n")
    assert PARSERS["study"]().parse_args(["--config", "quickstart"]).limit == 3


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("study", ["--config", "configs/study/quickstart.yaml"]),
        ("fit", ["--config", "configs/fit.yaml", "--trainer=configs/trainer/cpu.yaml"]),
    ],
)
def test_paths_of_the_repository_are_found_anywhere(command, arguments):
    found = with_shipped(command, arguments)
    files = [value.rpartition("=")[2] for value in found if value.endswith(".yaml")]
    assert all(Path(file).is_file() for file in files)


def test_lightning_s_commands_take_names_too(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["test", "--config", "test", "--data", "configs/data/sentiment.yaml", "--print_config"])
    assert stopped.value.code in (None, 0)
    printed = yaml.safe_load(capsys.readouterr().out)
    wanted = yaml.safe_load((HERE / "data/sentiment.yaml").read_text())
    assert printed["data"]["init_args"]["datasets"] == wanted["init_args"]["datasets"]


@pytest.mark.parametrize(
    ("command", "name", "said"),
    [
        ("study", "quickstar", "did you mean 'quickstart'? Known: calibration, datasets, protect, quickstart."),
        ("study", "mine/quickstart.yaml", "unknown configuration 'mine/quickstart.yaml'"),
        ("prune", "fit", "Known: magnitude, ria, sparsegpt, wanda."),
    ],
)
def test_an_unknown_name_lists_the_known_ones(command, name, said):
    with pytest.raises(UnknownConfigurationError) as refused:
        PARSERS[command]().parse_args(["--config", name])
    assert said in str(refused.value)


def test_what_is_no_name_is_left_to_the_parser():
    assert with_shipped("study", ["--config", "{limit: 3}"]) == ["--config", "{limit: 3}"]
    assert with_shipped("study", ["--output", "quickstart", "--config"]) == ["--output", "quickstart", "--config"]
    with pytest.raises(ConfigurationError, match="config"):
        PARSERS["study"]().parse_args(["--config"])


def test_a_text_too_long_for_a_file_name_stays_a_text():
    text = "no file is called so " * 20
    assert with_shipped("explain", ["--text", text]) == ["--text", text]


def test_help_of_study_names_every_shipped_study():
    said = " ".join(study_parser().format_help().split())
    assert f"the name of a shipped one: {', '.join(sorted(shipped_configs('study')))}" in said
