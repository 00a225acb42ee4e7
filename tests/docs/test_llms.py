"""llms.txt names every page of the navigation, each with what it is about."""

from __future__ import annotations

import importlib.util
import re

import pytest
import yaml
from tests.docs.pages import DOCS, ROOT

MADE = {"reference/commands.md", "reference/classes.md", "first-look.md"}


@pytest.fixture(scope="module")
def llms():
    spec = importlib.util.spec_from_file_location("llms", DOCS / "hooks/llms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_there_with_its_first_sentences(llms):
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    assert "docs/hooks/llms.py" in config["hooks"]
    read = lambda path: "# x\n\nMade from the code.\n" if path in MADE else (DOCS / path).read_text("utf-8")  # noqa: E731
    text = llms.llms_text(config["site_name"], config["site_description"], config["nav"], read)
    found = dict(re.findall(r"^- \[[^]]+\]\((\S+)\.html\): (.+)$", text, re.MULTILINE))
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert set(found) == pages | {path.removesuffix(".md") for path in MADE}
    assert all(15 < len(about) <= llms.LONGEST for about in found.values()), found
    assert text.startswith("# semprune\n\n> What pruning destroys")
    assert "## How to\n\n- [Use another model](how-to/own-model.html): " in text


@pytest.mark.parametrize(
    ("page", "about"),
    [
        ("# A\n\nOne [two](b.md)\nthree.\n\nMore.", "One two three."),
        ("# A\n\n```sh\nrun it\n```\n\n| a |\n|---|\n\nThen this.", "Then this."),
        (f"# A\n\nFirst. {'word ' * 100}", "First."),
        ("word " * 100, "word " * 59 + "word …"),
        ("# A", ""),
    ],
)
def test_how_a_page_begins(llms, page, about):
    assert llms.first_sentences(page) == about
