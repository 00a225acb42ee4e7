"""Every configuration that ships is found here, is accepted by its command, and explains every key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from semprune.cli.__main__ import main

CONFIGS = Path(__file__).parents[2] / "configs"
WHOLE = {"fit.yaml": "fit", "test.yaml": "test", "causal.yaml": "causal", "mediate.yaml": "mediate",
         "controls.yaml": "controls", "concepts/influential.yaml": "influential"}  # fmt: skip
GROUPS = {"backbone": ("fit", "--backbone"), "trainer": ("fit", "--trainer"), "data": ("test", "--data")}


def found(folder: str) -> list[Path]:
    return sorted((CONFIGS / folder).glob("*.yaml"))


def accepted(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--print_config"])
    assert stopped.value.code in (None, 0)
    return yaml.safe_load(capsys.readouterr().out)


def within(given: object, printed: object) -> bool:
    """Whether everything that was given is printed; defaults may stand beside it."""
    if not isinstance(given, dict):
        return given == printed
    return isinstance(printed, dict) and all(within(value, printed.get(key)) for key, value in given.items())


@pytest.mark.parametrize("name", WHOLE)
def test_commands_accept_their_configuration(name, capsys):
    printed = accepted([WHOLE[name], "--config", str(CONFIGS / name)], capsys)
    assert printed["backbone"]["name"] == yaml.safe_load((CONFIGS / name).read_text())["backbone"]["name"]


@pytest.mark.parametrize(
    "path", [path for group in GROUPS for path in found(group)], ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_groups_are_accepted(path, capsys):
    command, option = GROUPS[path.parent.name]
    printed = accepted([command, option, str(path)], capsys)[path.parent.name]
    for key, value in yaml.safe_load(path.read_text()).items():
        if key == "init_args":
            assert within(value, printed[key])
        elif key != "class_path":
            assert printed[key] == value


@pytest.mark.parametrize(
    ("option", "value", "part", "changed"),
    [
        ("calibration", "wiki", "calibration", {"name": "wiki"}),
        ("calibration.sequences", "8", "calibration", {"sequences": 8}),
        ("documents", "[bbc_news]", "documents", {"datasets": ["bbc_news"]}),
        ("documents.limit", "50", "documents", {"limit": 50}),
    ],
)
def test_an_option_of_a_part_keeps_the_others(option, value, part, changed, capsys):
    config = CONFIGS / "test.yaml"
    printed = accepted(["test", "--config", str(config), f"--data.{option}", value], capsys)
    shipped = yaml.safe_load(config.read_text())["data"]["init_args"][part]
    assert within(shipped | changed, printed["data"]["init_args"][part])


def test_options_by_the_names_that_they_had_before_say_the_new_ones(capsys):
    assert main(["test", "--config", str(CONFIGS / "test.yaml"), "--data.document_length", "96"]) == 2
    assert "RenamedSettingError: EvaluationDataModule" in (said := capsys.readouterr().err)
    assert "--data.documents.max_length" in said


@pytest.mark.parametrize("path", [*found("study"), *found("prune")], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_plain_commands_accept_their_configurations(path, capsys):
    printed = accepted([path.parent.name, "--config", str(path)], capsys)
    for key, value in yaml.safe_load(path.read_text()).items():
        assert printed[key] == value or value.items() <= printed[key].items()


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda p: str(p.relative_to(CONFIGS)))
def test_every_value_has_a_comment(path):
    for line in path.read_text().splitlines():
        bare = line.strip()
        if bare and not bare.startswith("#") and not bare.endswith(":") and "class_path" not in bare:
            assert " # " in line, f"{path.name}: {line}"
