"""The notebook runs from top to bottom, and the site shows it with what it printed and drew."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, ROOT

NOTEBOOK = DOCS / "first-look.ipynb"
TOPICS = ', "empath.sports", "empath.business"'
"""Concepts that the small package's texts never mention."""
ON_THE_SMALL_MODEL = """
import pathlib
import semprune.backbones
import semprune.data.rows.sources
from tests.docs.conftest import small_backbone
semprune.backbones.load_backbone = small_backbone
semprune.data.rows.sources.ensure_asset = lambda name: pathlib.Path({package!r})
"""


def _shown() -> str:
    spec = importlib.util.spec_from_file_location("notebook", DOCS / "hooks/notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.page(NOTEBOOK)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="un-skip with the extra `dev` of this version")
    nbformat = pytest.importorskip("nbformat", reason="comes with nbclient")
    pytest.importorskip("ipykernel", reason="un-skip with the extra `dev` of this version")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (named,) = (cell for cell in notebook.cells if TOPICS in cell.source)
    named.source = named.source.replace(TOPICS, "")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(ON_THE_SMALL_MODEL.format(package=str(package))))
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(cwd=str(tmp_path))  # a cell that fails is an error here
    drawn = sum("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
    assert drawn == 3


def test_the_site_shows_what_the_notebook_printed_and_drew():
    page = _shown()
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert page.startswith("# A first look\n")
    assert page.count("```python\n") == sum(cell["cell_type"] == "code" for cell in cells)
    assert page.count('src="data:image/png;base64,iVBOR') == 3
    assert "LlamaForCausalLM, 30 blocks" in page  # of the real model
    assert "[The notebook itself](first-look.ipynb)" in page


def test_the_notebook_is_stored_as_it_ran():
    cells = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    text = NOTEBOOK.read_text("utf-8")
    assert not any(place in text for place in ("/home/", "/root/", "/tmp/", "/work/"))
    assert len(text) < 400_000
