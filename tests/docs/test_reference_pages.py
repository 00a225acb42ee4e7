"""The pages that are made from the code name every option, with its default, and are the same every time."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import re

import pytest
from tests.docs.pages import DOCS

from semprune.cli.commands.causal import CausalCommandConfig
from semprune.cli.commands.mediate import MediateConfig
from semprune.cli.dispatch import COMMANDS
from semprune.data import EvaluationDataModule
from semprune.pruning.callbacks.methods import CALLBACKS
from semprune.pruning.streamed.config import PruneConfig
from semprune.study import StudyConfig


def hook(name: str):
    """A file of the site's builder, which is no part of the package."""
    spec = importlib.util.spec_from_file_location(f"docs_hooks_{name}", DOCS / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference():
    return hook("reference")


def keys(config: type, prefix: str = "") -> list[str]:
    """Dotted keys of a configuration's dataclass, by its fields alone."""
    found = []
    for field in dataclasses.fields(config):
        inner = field.default_factory if isinstance(field.default_factory, type) else None
        if inner is not None and dataclasses.is_dataclass(inner):
            found += keys(inner, f"{prefix}{field.name}.")
        else:
            found.append(prefix + field.name)
    return found


@pytest.mark.parametrize("config", [StudyConfig, PruneConfig, CausalCommandConfig, MediateConfig])
def test_every_key_of_a_configuration_is_a_row(config, reference):
    page = reference.commands_page()
    assert len(keys(config)) > 10
    for key in keys(config):
        (row,) = {r for r in re.findall(rf"^\| `--{re.escape(key)}` \|.*$", _part(page, config), re.MULTILINE)}
        assert row.count("|") - row.count("\\|") >= 5
        assert row.rstrip(" |")[-1] in ".:…)", row  # a sentence says what it is


def _part(page: str, config: type) -> str:
    names = {StudyConfig: "study", PruneConfig: "prune", CausalCommandConfig: "causal", MediateConfig: "mediate"}
    name = names[config]
    return page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_rows_by_hand(reference):
    page = reference.commands_page()
    tokens = "Tokens of each, special tokens included; papers use 2048."
    assert f"| `--calibration.length` | `int` | `512` | {tokens} |" in page
    assert "| `--sparsity` | `float | null` | `null` | Share of each matrix's weights to set to zero." in page
    assert "| `action` | `list, get, verify` | required | what to do |" in page
    assert "| `--force` | `switch` | `False` | fetch again what is there |" in page


def test_every_command_has_a_section_with_examples(reference):
    page = reference.commands_page()
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) != []
    for name in COMMANDS:
        assert f"\n```sh\nsemprune {name} " in page.partition(f"\n## {name}\n")[2], name


def test_classes_show_every_parameter(reference):
    page = reference.classes_page()
    for each in (*CALLBACKS.values(), EvaluationDataModule):
        own = page.partition(f"\n### {each.__name__}\n")[2].partition("\n### ")[0]
        names = list(inspect.signature(each).parameters)
        assert len(names) > 1
        assert all(f"| `--{name}` |" in own for name in names), each


def test_pages_are_the_same_every_time(reference):
    assert reference.commands_page() == reference.commands_page()
    assert not re.search(r"0x[0-9a-f]{6}|/home/|/tmp/", reference.commands_page() + reference.classes_page())


def test_links_to_the_readme_lead_to_the_first_page(reference):
    assert reference.on_page_markdown("see [x](../README.md#y) and [z](a.md)") == "see [x](index.md) and [z](a.md)"


def test_docstrings_become_markdown():
    pytest.importorskip("griffe", reason="un-skip with the extra `docs`")
    rewritten = hook("docstrings").for_readers(
        "See :class:`~a.B`.\n\n    .. math::\n        x^2\n\n    Example:\n        >>> 1"
    )
    assert rewritten == "See `a.B`.\n\n    ```text\n        x^2\n    ```\n\n    Examples:\n        >>> 1"
