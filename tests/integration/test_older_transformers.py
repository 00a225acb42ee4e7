"""A folder made by an older transformers, pruned by none of its weights, is the same model to that transformers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.pruning.streamed.streamed_runs import plan_of, prune_into

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PACKAGES = ["transformers==4.55.4", "huggingface_hub>=0.34,<1", "tokenizers>=0.21,<0.22"]
SCRIPT = Path(__file__).with_name("older_transformers.py")
MODELS = Path(__file__).parents[1] / "unit" / "backbones" / "tiny_models.yaml"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """An older transformers in a folder of its own; nothing is installed into the environment of the tests."""
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no package index gives {PACKAGES[0]}; un-skip where pip can install it: {done.stderr[-200:]}")
    return folder


def _run(packages, *arguments):
    command = [sys.executable, str(SCRIPT), str(packages), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=packages)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_every_family_has_the_same_logits(packages, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    made = _run(packages, "make", MODELS, tmp_path / "models")
    assert {"LlamaForCausalLM-0", "Qwen2ForCausalLM-0", "Gemma2ForCausalLM-0", "Qwen3MoeForCausalLM-0"} <= {*made}
    assert len(made) >= 40
    for name in made:
        prune_into(tmp_path / "pruned" / name, plan_of(tmp_path / "models" / name, "magnitude", sparsity=0.0))
    differences = _run(packages, "compare", tmp_path / "models", tmp_path / "pruned")
    assert differences.keys() == {*made}
    assert max(differences.values()) < 1e-5  # with another rope_theta it is 10
