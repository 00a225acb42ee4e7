"""Files and functions that the pages of definitions name are there."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "semprune"
EQUATIONS = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.py)(?:: ([\w, ]+))?`", EQUATIONS)
ATTRIBUTION = (ROOT / "docs" / "attribution.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("path", "names"), dict.fromkeys(NAMED))
def test_equations_are_computed_where_the_page_says(path, names):
    file = ROOT / path if path.startswith("tests/") else SOURCES / path
    tree = ast.parse(file.read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert set(filter(None, names.split(", "))) <= defined


@pytest.mark.parametrize("name", re.findall(r"`((?:attribution|concepts)\.[a-z_0-9.]+\.[a-z_]+)[`(]", ATTRIBUTION))
def test_dotted_names_of_the_attribution_page_can_be_imported(name):
    module, _, attribute = f"semprune.{name}".rpartition(".")
    assert hasattr(import_module(module), attribute)


def test_the_pages_name_some():
    assert len(NAMED) > 30
