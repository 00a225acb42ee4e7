"""The site builds without a warning: every link, anchor, reference and page of the navigation is there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.docs.pages import ROOT

pytestmark = pytest.mark.slow


def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("mkdocs", reason="un-skip with the extra `docs`")
    path = f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    commands = (tmp_path / "site/reference/commands.html").read_text("utf-8")
    assert "--calibration.length" in commands
    assert "(how-to/loggers.html): " in (tmp_path / "site/llms.txt").read_text("utf-8")
    assert "data:image/png;base64," in (tmp_path / "site/first-look.html").read_text("utf-8")
    assert "prune_model" in (tmp_path / "site/reference/python.html").read_text("utf-8")
