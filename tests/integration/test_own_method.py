"""The page about a method of one's own, done: its files make a distribution that every part of semprune finds."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, ROOT, blocks
from tests.integration.small_study import write_study

from semprune.pruning import load_masks
from semprune.pruning.methods import methods
from semprune.report import load_run

PAGE = DOCS / "how-to" / "own-method.md"
SCRIPT = """
import sys
from contextlib import suppress
from pathlib import Path

import torch
from tests.integration.small_study import run
from tests.integration.tiny import tiny_backbone

import semprune

folder = Path(sys.argv[1])
lm = tiny_backbone()
input_ids = torch.randint(0, lm.model.config.vocab_size, (4, 16))
{from_python}
assert report.settings["power"] == 1.0
assert abs(report.total_sparsity - 0.5) < 0.01
small = ["--calibration.sequences", "4", "--calibration.length", "16", "--backbone.name", str(folder / "model")]
given = ["--method", "peaks", "--sparsity", "0.5", "--options", '{{"power": 1.0}}', "--output", str(folder / "pruned")]
assert run(folder, ["prune", *given, *small]) == 0
with suppress(SystemExit):
    run(folder, ["fit", "--config", str(folder / "trainer.yaml"), "--data", "DocumentDataModule", "--print_config"])
assert run(folder, ["study", "--config", str(folder / "run.yaml")]) == 0
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder in which the page was followed, and what was printed."""
    folder = tmp_path_factory.mktemp("own")
    install(folder / "site")
    (from_yaml,) = (block.text for block in blocks(PAGE, "text"))
    (from_python,) = (block.text for block in blocks(PAGE, "py"))
    (folder / "trainer.yaml").write_text(from_yaml)
    plain = {"causal": None, "losses": [], "datasets": ["sst2"], "methods": ["peaks", "wanda"]}
    write_study(folder, folder / "run", **plain)
    paths = os.pathsep.join(map(str, (folder / "site", ROOT / "src", ROOT)))
    script = SCRIPT.format(from_python=from_python)
    command = [sys.executable, "-W", "ignore", "-c", script, str(folder)]
    finished = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder, finished.stdout


def install(site: Path) -> None:
    """What pip would leave of the page's package: the module and the distribution's record."""
    shown = {block.title: block.text for block in blocks(PAGE) if block.title}
    project = tomllib.loads(shown["pyproject.toml"])["project"]
    ((group, points),) = project["entry-points"].items()
    record = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    record.mkdir(parents=True)
    (site / "peaks.py").write_text(shown["peaks.py"])
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (record / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))


def test_the_command_prunes_with_it(done):
    stored = load_masks(done[0] / "pruned")
    assert stored.method == "peaks"
    assert stored.settings["power"] == 1.0
    assert abs(sum(int((~mask).sum()) for mask in stored.masks.values()) / total(stored.masks) - 0.5) < 0.01


def total(masks):
    return sum(mask.numel() for mask in masks.values())


def test_its_callback_is_known_by_its_label(done):
    assert "class_path: semprune.pruning.callbacks.methods.Peaks" in done[1]
    assert "power: 1.0" in done[1]


def test_the_report_says_its_label_where_it_is_not_installed(done):
    assert "peaks" not in methods()
    assert [setting.label for setting in load_run(done[0] / "run").settings] == ["Wanda 50 %", "Peaks 50 %"]
    assert "Peaks" in (done[0] / "run" / "report.html").read_text("utf-8")
