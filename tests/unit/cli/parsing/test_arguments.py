"""What every command line refuses: keys that stand twice, empty texts, texts that YAML reads as numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from semprune.cli.dispatch import PARSERS
from semprune.cli.parsing.arguments import configured
from semprune.data import ChatSettings
from semprune.errors import ConfigurationError, SettingError
from semprune.study import StudyConfig


def parse(command: str, *arguments: str, **files: str):
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")
    return PARSERS[command]().parse_args(list(arguments))


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("text", ["limit: 3\nseeds: [0]\nlimit: 4\n", "fit:\n  limit: 3\n  limit: 4\n"])
def test_a_key_that_stands_twice_in_a_configuration_is_an_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the key 'limit' stands twice .* line 3"):
        parse("study", "--config", "twice", twice=text)


@pytest.mark.parametrize(
    ("command", "arguments", "name"),
    [
        ("study", ["--output", ""], "--output"),
        ("study", ["--store="], "store"),
        ("prune", ["--config", "empty"], "output"),
        ("causal", ["--output", ""], "--output"),
        ("controls", ["--output", ""], "--output"),
        ("influential", ["--output", ""], "--output"),
        ("report", [""], "argument 1"),
        ("explain", ["--run", ""], "--run"),
        ("prune", ["--backbone.name", ""], "--backbone.name"),
    ],
)
def test_an_empty_text_is_no_folder_and_no_name(command: str, arguments: list[str], name: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} must be a text that is not empty"):
        parse(command, *arguments, empty="output: ''\n")
    assert str(parse("report", ".").run_dir) == "."


def test_a_revision_that_yaml_reads_as_a_number_is_told_of_quotes() -> None:
    for revision in ("77950e8", "7795000", "true"):
        with pytest.raises(ConfigurationError, match=r"backbone\.revision.*write a text that looks like one in quotes"):
            parse("prune", "--config", "plain", plain=f"backbone: {{name: a/b, revision: {revision}}}")
        quoted = parse("prune", "--config", "quoted", quoted=f"backbone: {{name: a/b, revision: '{revision}'}}")
        assert quoted.backbone.revision == revision
        assert parse("prune", "--backbone.revision", revision).backbone.revision == revision


def test_a_chat_is_asked_for_in_one_word_or_with_its_settings() -> None:
    def chat(*arguments: str, **files: str) -> bool | ChatSettings:
        return configured(PARSERS["study"](), parse("study", *arguments, **files), StudyConfig).chat

    closed = "chat: {options: {enable_thinking: false}, date: 2025-01-02, thought: close}"
    assert chat() is False
    assert chat("--chat", "true") is True
    assert chat("--config", "closed", closed=closed) == ChatSettings({"enable_thinking": False}, "2025-01-02", "close")
    assert chat("--config", "closed", "--chat.options.level", "3").options == {"enable_thinking": False, "level": 3}
    assert chat("--chat.thought", "close") == ChatSettings(thought="close")
    with pytest.raises(ConfigurationError, match="did you mean 'thought'"):
        chat("--chat.tought", "close")


def test_options_take_dashes_and_underscores_alike() -> None:
    """Nested keys, appended lists and options that are named with dashes too; values stay as they are."""
    parsed = parse("study", "--dry-run", "--fit.max-length", "7", "--token-budget=9", "--output", "a-b")
    assert (parsed.dry_run, parsed.fit.max_length, parsed.token_budget, parsed.output) == (True, 7, 9, "a-b")
    assert parse("assets", "list", "--accept_non_commercial").accept_non_commercial
    with pytest.raises(ConfigurationError, match="--dry-rum"):
        parse("study", "--dry-rum")
