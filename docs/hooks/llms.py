"""``llms.txt``, made whenever the site is built: every page of the navigation with its first sentences, for machines.

Format: https://llmstxt.org, a list of links below headings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

LONGEST = 300


def on_files(files: Any, config: Any) -> Any:
    """Add the file to MkDocs'; it stands at the site's root."""

    def read(path: str) -> str:
        text: str = files.get_file_from_path(path).content_string
        return text

    text = llms_text(config["site_name"], config["site_description"], config["nav"], read)
    file = import_module("mkdocs.structure.files").File  # only who builds the site has it
    files.append(file.generated(config, "llms.txt", content=text))
    return files


def llms_text(name: str, about: str, nav: list[Any], read: Callable[[str], str]) -> str:
    """Return the file's text.

    Args:
        name: Of the site.
        about: The site in a sentence.
        nav: The navigation as ``mkdocs.yml`` has it.
        read: Gives a page's Markdown by its path.
    """
    lines = [f"# {name}", "", f"> {about}", ""]
    for entry in nav:
        ((title, inside),) = entry.items()
        if isinstance(inside, str):
            lines.append(_link(title, inside, read(inside)))
        else:
            lines += ["", f"## {title}", ""]
            lines += [_link(each, path, read(path)) for part in inside for each, path in part.items()]
    return "\n".join(lines) + "\n"


def _link(title: str, path: str, text: str) -> str:
    return f"- [{title}]({path.removesuffix('.md')}.html): {first_sentences(text)}"


def first_sentences(text: str) -> str:
    r"""Return how a page begins, without its headings, code, tables and links.

    Example:
        >>> first_sentences("# Title\n\n| a |\n|---|\n\nSee [this](x.md). It\nhelps.\n\nMore.")
        'See this. It helps.'
    """
    paragraph = next(_paragraphs(text), "")
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", paragraph)
    if len(plain) <= LONGEST:
        return plain
    whole = plain[:LONGEST].rpartition(". ")[0]
    return f"{whole}." if whole else f"{plain[:LONGEST].rpartition(' ')[0]} …"


def _paragraphs(text: str) -> Iterator[str]:
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for paragraph in re.split(r"\n\s*\n", prose):
        found = " ".join(paragraph.split())
        if found and not found.startswith(("#", "|", "-", "<", ":::", "!", "---")):
            yield found
