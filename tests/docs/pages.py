"""The documentation's pages and the fenced blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        kind: Its language.
        title: The file that it shows, if any.
        text: What is in it.
        line: Where its text starts on the page.
    """

    kind: str
    title: str | None
    text: str
    line: int


def blocks(page: Path, *kinds: str) -> Iterator[Block]:
    """The page's blocks of some languages, all where none is named."""
    content = page.read_text("utf-8")
    for found in _FENCE.finditer(content):
        if not kinds or found[1] in kinds:
            yield Block(found[1], found[2], found[3], content.count("\n", 0, found.start(3)) + 1)


def without_code(content: str) -> str:
    """A page without fenced blocks and code in lines: its prose and links."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", content))


HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
OWN = [DOCS / "index.md", DOCS / "tutorial.md", *HOW_TO]
