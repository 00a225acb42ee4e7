"""The wheel, in an environment of its own and outside of the checkout.

What it needs is not installed again: the environment sees the packages of the one that runs the tests, but not its
semprune.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests import models
from tests.unit.report.conftest import CONCEPTS, build_run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, folder=folder)
    return next(folder.glob("semprune-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Folder of the environment's programs."""
    home = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", home, folder=home)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, folder=home)
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=home).strip())
    (own / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return home / "bin"


def test_it_holds_what_is_not_python(wheel):
    held = set(ZipFile(wheel).namelist())
    package, configs = ROOT / "src" / "semprune", ROOT / "configs"
    wanted = {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}
    wanted |= {f"semprune/configs/{path.relative_to(configs).as_posix()}" for path in configs.rglob("*.yaml")}
    assert {name for name in wanted if "__pycache__" not in name} <= held


def test_its_commands_need_no_checkout(installed, tmp_path):
    semprune = installed / "semprune"
    place = run(installed / "python", "-c", "import semprune; print(semprune.__file__)", folder=tmp_path)
    assert place.startswith(str(installed.parent))
    assert "methods:\n- magnitude\n- wanda" in run(
        semprune, "study", "--config", "quickstart", "--print_config", folder=tmp_path
    )
    models.llama().save_pretrained(tmp_path / "tiny")
    models.letter_tokenizer("abcdefgh", bos_token="<s>").save_pretrained(tmp_path / "tiny")
    run(semprune, "prune", "--config", "magnitude", "--backbone.name", "tiny", "--output", "pruned", folder=tmp_path)
    assert "all" in run(semprune, "verify", "pruned", "--masks", "pruned", folder=tmp_path)
    build_run(tmp_path / "run", tuple(CONCEPTS)[:4], layers=6)
    run(semprune, "report", "run", folder=tmp_path)
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")
