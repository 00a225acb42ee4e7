"""A hundred damages of each artefact: a typed error, or what the whole file gives."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from tests.fuzz.command_lines import Folder, command
from tests.fuzz.mutations import mutations

import semprune
from semprune.artefacts import read_table
from semprune.attribution.fit.checkpoint import StoredFit, read_checkpoint
from semprune.errors import SempruneError
from semprune.pruning.masks.file import MASKS, MaskFile
from semprune.pruning.streamed.command import run_prune
from semprune.pruning.streamed.config import PruneConfig, PrunedBackboneConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore"),  # libraries warn of what they find in damaged files
]
COUNT = 100


def plain(value: Any) -> Any:
    """Anything as what compares by its values, tensors too."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), hashlib.sha256(value.numpy().tobytes()).hexdigest()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else repr(value)


def association(path: Path) -> Any:
    return plain(vars(semprune.load_association(path)))


def masks(path: Path) -> Any:
    stored = semprune.load_masks(path)
    return [
        plain(getattr(stored, name)) for name in ("masks", "fingerprint", "method", "settings", "orders", "patterned")
    ]


def mask_file(path: Path) -> Any:
    stored = MaskFile(path)
    return plain({name: stored.read(name) for name in stored.shapes}), stored.header


def checkpoint(path: Path) -> Any:
    content = read_checkpoint(path)
    return plain(content["state_dict"]), repr(StoredFit.of(content).shape), repr(content.get("hyper_parameters"))


def table(path: Path) -> Any:
    found = read_table(path.parent, path.stem)
    assert found is not None
    return found.to_json()


def model(path: Path) -> Any:
    """What a folder's model says of a text. Another model is allowed if it does not pass for the first one."""
    lm = semprune.load_backbone(str(path.parent))
    with torch.no_grad():
        logits = lm.model(torch.arange(24).view(1, 24)).logits
    return Named(str(lm.fingerprint), (plain(logits), lm.tokenizer("a good film, it's NOT [bad] 12")["input_ids"]))


def pruned(path: Path) -> Any:
    """What pruning writes of a folder's model; as above."""
    output = path.parent.with_name("pruned")
    shutil.rmtree(output, ignore_errors=True)
    backbone = PrunedBackboneConfig(str(path.parent))
    result = run_prune(PruneConfig(str(output), backbone, method="magnitude", sparsity=0.5))
    written = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(output.glob("model*.safetensors"))]
    return Named(result.provenance["backbone"]["fingerprint"], written)


class Named:
    """A result under a fingerprint: under another one it is another result, and says so."""

    def __init__(self, fingerprint: str, result: Any) -> None:
        self.fingerprint, self.result = fingerprint, result

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and (other.fingerprint != self.fingerprint or other.result == self.result)

    __hash__ = None  # type: ignore[assignment]


def sharded(folder: Folder) -> Path:
    """The model in several files with an index."""
    path = folder.path / "sharded"
    if not path.exists():
        shutil.copytree(folder.path / "model", path)
        (path / "model.safetensors").unlink()
        semprune.load_backbone(str(folder.path / "model")).model.save_pretrained(path, max_shard_size="30KB")
    return path / "model.safetensors.index.json"


READERS: dict[str, tuple[Callable[[Folder], Path], Callable[[Path], Any]]] = {
    "association": (lambda f: f.path / "whole/association.safetensors", association),
    "masks": (lambda f: f.path / "masks" / MASKS, masks),
    "masks-one-by-one": (lambda f: f.path / "masks" / MASKS, mask_file),
    "fit.ckpt": (lambda f: next(f.path.glob("whole/store/fit/*/fit.ckpt")), checkpoint),
    "last.ckpt": (lambda f: next(f.path.glob("whole/store/fit/*/last.ckpt")), checkpoint),
    "results": (lambda f: f.path / "whole/results.parquet", table),
    "predictions": (lambda f: f.path / "whole/predictions.parquet", table),
    "config.json": (lambda f: f.path / "model/config.json", model),
    "tokenizer.json": (lambda f: f.path / "model/tokenizer.json", model),
    "tokenizer_config.json": (lambda f: f.path / "model/tokenizer_config.json", model),
    "weights": (lambda f: f.path / "model/model.safetensors", model),
    "index.json": (sharded, model),
    "config.json-pruned": (lambda f: f.path / "model/config.json", pruned),
    "weights-pruned": (lambda f: f.path / "model/model.safetensors", pruned),
    "index.json-pruned": (sharded, pruned),
}


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_refused_or_gives_what_the_whole_one_gives(name, folder, tmp_path):
    find, read = READERS[name]
    source = find(folder)
    copy = shutil.copytree(source.parent, tmp_path / "copy", ignore=shutil.ignore_patterns("store", "lightning_logs"))
    path, content, faults = copy / source.name, source.read_bytes(), []
    whole = read(path)
    for label, damaged in mutations(content, COUNT):
        path.write_bytes(damaged)
        try:
            if read(path) != whole:
                faults.append(f"{label}: silently another result")
        except SempruneError:
            pass
        except Exception as error:
            faults.append(f"{label}: {type(error).__name__}: {error}")
    assert faults == []


@pytest.mark.parametrize("quarter", range(4))
def test_a_damaged_entry_of_the_store_is_refused_or_computed_anew(quarter, folder, tmp_path):
    settings = yaml.safe_load((folder.path / "whole.yaml").read_text())
    entries = sorted(
        path.relative_to(folder.path / "whole/store")
        for kind in ("*.parquet", "*.json", "*.ckpt", "*.safetensors")
        for path in (folder.path / "whole/store").rglob(kind)
    )
    assert len(entries) > 30
    faults = []
    for number in range(COUNT // 4):
        entry = entries[(number * 4 + quarter) * 7 % len(entries)]
        run = tmp_path / str(number)
        shutil.copytree(folder.path / "whole/store", run / "store")
        config = tmp_path / f"{number}.yaml"
        config.write_text(yaml.safe_dump(settings | {"output": str(run), "store": str(run / "store")}))
        (label, damaged), *_ = mutations((run / "store" / entry).read_bytes(), 1, seed=number * 4 + quarter)
        (run / "store" / entry).write_bytes(damaged)
        outcome = command(folder, ["study", "--config", str(config)], 120)
        if outcome.status == 0:
            faults += [f"{entry} {label}: another {name}" for name in differing(folder.path / "whole", run)]
        elif outcome.fault or outcome.status != 2:
            faults.append(f"{entry} {label}: {outcome.fault or outcome.status}")
        shutil.rmtree(run)
    assert faults == []


def differing(one: Path, other: Path) -> list[str]:
    """Tables of two runs that are not the same."""
    names = ("results", "predictions", "sparsity", "semantic_loss", "contexts", "neuron_activations", "concepts")
    pairs = {name: [pd.read_parquet(run / f"{name}.parquet") for run in (one, other)] for name in names}
    return [name for name, (first, second) in pairs.items() if not first.equals(second)]
