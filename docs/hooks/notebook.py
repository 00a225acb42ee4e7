"""Notebooks as pages of the site: code, what it printed and the figures that it drew, as they are stored."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any


def on_files(files: Any, config: Any) -> Any:
    """Add a page for every notebook beside the pages; the notebook itself stays to be downloaded."""
    file = import_module("mkdocs.structure.files").File  # only who builds the site has it
    for path in sorted(Path(config["docs_dir"]).glob("*.ipynb")):
        files.append(file.generated(config, f"{path.stem}.md", content=page(path)))
    return files


def page(path: Path) -> str:
    """Return a notebook as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [part for cell in cells for part in _cell(cell)]
    return "\n\n".join([*parts, f"[The notebook itself]({path.name})"]) + "\n"


def _cell(cell: dict[str, Any]) -> list[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    return [f"```python\n{source}\n```", *filter(None, map(_output, cell["outputs"]))]


def _output(output: dict[str, Any]) -> str:
    """What a cell printed as text, a figure as a picture inside of the page; anything else is left out."""
    data = output.get("data", {})
    if "image/png" in data:
        return f'<img alt="figure" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""
