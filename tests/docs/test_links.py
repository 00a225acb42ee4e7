"""Every relative link and anchor of the documentation leads somewhere, and every page is found from the navigation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.docs.pages import DOCS, ROOT, without_code

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/README.md", *sorted(DOCS.rglob("*.md"))]
MADE = {
    DOCS / "reference/commands.md",
    DOCS / "reference/classes.md",
    DOCS / "first-look.md",
}  # while the site is built
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+\s+(.+?)\s*$", re.MULTILINE)


def slug(heading: str) -> str:
    """The anchor of a heading, as Python-Markdown makes it.

    Accents go, then whatever is no letter, digit or hyphen; blanks become hyphens.
    """
    plain = unicodedata.normalize("NFKD", heading.replace("`", "")).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def anchors(page: Path) -> set[str]:
    return {
        slug(heading) for heading in _HEADING.findall(re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))
    }


def broken(page: Path) -> Iterator[str]:
    """Links of a page to files or headings that are not there; those to other hosts are not looked at."""
    for target in _LINK.findall(without_code(page.read_text("utf-8"))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        place = (page.parent / path).resolve() if path else page
        if place in MADE and not anchor:
            continue
        if not place.exists():
            yield f"{target}: no such file"
        elif anchor and (place.suffix != ".md" or anchor not in anchors(place)):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert list(broken(page)) == []


def test_broken_links_are_seen(tmp_path):
    (tmp_path / "b.md").write_text("# What it is, *really*: `x` & y\n```sh\n# no heading\n```\n")
    page = tmp_path / "a.md"
    page.write_text("[1](b.md) [2](c.md) [3](b.md#what-it-is-really-x-y) [4](b.md#no-heading) `[5](d.md)` [6](#a) "
                    "[7](https://example.org/x#y)\n```md\n[8](e.md)\n```\n")  # fmt: skip
    assert list(broken(page)) == ["c.md: no such file", "b.md#no-heading: no such heading", "#a: no such heading"]


def test_every_page_is_in_the_navigation_once():
    def leaves(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        entries = entry.values() if isinstance(entry, dict) else entry
        return [leaf for inner in entries for leaf in leaves(inner)]

    named = leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    there = {str(page.relative_to(DOCS)) for page in (*DOCS.rglob("*.md"), *MADE)}
    assert sorted(named) == sorted(there)
