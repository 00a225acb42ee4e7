"""Which weights a model has: a hash of its files, or of its tensors where it has none."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from semprune.assets import cache_folder
from semprune.backbones.weights.stored_tensors import Checkpoint, weight_files
from semprune.io.tensor_files import tensor_bytes
from semprune.types import Fingerprint

DEFINITION = 1
"""Version of what is hashed and how; a change of it makes every remembered hash void."""


def fingerprint_folder(folder: Path, architecture: str, revision: str) -> Fingerprint:
    """Return the fingerprint of a model folder.

    Names, shapes, dtypes and values of the stored tensors count; how they are cut into files, and what else those files
    say, does not. The hash is remembered in the cache by path, size and time of change of each file, since hashing
    14 GB takes a minute.

    Args:
        folder: Holds safetensors weights.
        architecture: Class name of the model.
        revision: Commit, release or ``local``.

    Raises:
        BackboneLoadError: The folder has no safetensors weights, or they cannot be read.
    """
    files = weight_files(folder)
    key = json.dumps([DEFINITION, *(_stamp(path) for path in files)])
    store = cache_folder() / "fingerprints" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.txt"
    if store.is_file():
        remembered = store.read_text(encoding="ascii").strip()
        if len(remembered) == 64:
            return Fingerprint(architecture, revision, remembered)
    sha256 = _hash_files(folder)
    _remember(store, sha256)
    return Fingerprint(architecture, revision, sha256)


def fingerprint_model(model: nn.Module, revision: str = "memory") -> Fingerprint:
    """Return the fingerprint of a model in memory: what it would store, in the order of the names.

    Equals the fingerprint's hash of the folder that ``save_pretrained`` makes of it, also where that stores experts one
    by one. Another dtype of the same weights is another fingerprint here.
    """
    digest = hashlib.sha256()
    state = model.state_dict()
    # named_parameters gives a tied tensor once, under its first name, as a saved file does; the state dict leaves out
    # buffers that are never saved.
    once = {name for name, _ in [*model.named_parameters(), *model.named_buffers()]}
    kept = {name: state[name] for name in once & state.keys()}
    stored = revert_weight_conversion(model, kept) if isinstance(model, PreTrainedModel) else kept
    for name in sorted(stored):
        _add(digest, name, stored[name])
    return Fingerprint(type(model).__name__, revision, digest.hexdigest())


def _hash_files(folder: Path) -> str:
    digest = hashlib.sha256()
    checkpoint = Checkpoint(folder)
    for name in checkpoint.tensors:
        _add(digest, name, checkpoint.read([name])[name])
    return digest.hexdigest()


def _add(digest: hashlib._Hash, name: str, value: Tensor) -> None:
    digest.update(f"{name}|{tuple(value.shape)}|{value.dtype}|".encode())
    digest.update(tensor_bytes(value))


def _stamp(path: Path) -> list[str | int]:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def _remember(store: Path, sha256: str) -> None:
    """Store the hash; a cache that cannot be written costs time, not the run."""
    part = store.with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(sha256, encoding="ascii")
        part.replace(store)
