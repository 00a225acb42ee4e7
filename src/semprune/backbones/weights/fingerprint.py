"""Which model it is: a hash of its stored tensors, and one of the configuration that they are used with."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.core_model_loading import revert_weight_conversion

from semprune.assets import cache_folder
from semprune.backbones.weights.configuration import hash_configuration, hash_configuration_of
from semprune.backbones.weights.stored_tensors import INDEX, Checkpoint, weight_files
from semprune.io.known_hashes import known_hash
from semprune.io.tensor_files import add_tensor, hash_tensors
from semprune.types import Fingerprint

DEFINITION = 2
"""Version of what is hashed and how; a change of it makes every remembered hash void."""


def fingerprint_folder(folder: Path, architecture: str, revision: str) -> Fingerprint:
    """Return the fingerprint of a model folder.

    Of the weights count names, shapes, dtypes and values of the stored tensors; how they are cut into files does not.
    Their hash is remembered in the cache for as long as the files cannot have changed (see
    :mod:`semprune.io.known_hashes`), since hashing 14 GB takes a minute. Beside them count configuration, tokenizer and
    generation settings (:mod:`semprune.backbones.weights.configuration`), which are read anew each time.

    Args:
        folder: Holds safetensors weights.
        architecture: Class name of the model.
        revision: Commit, release or ``local``.

    Raises:
        BackboneLoadError: The folder has no safetensors weights, or they cannot be read.
    """
    files = [*weight_files(folder), *(path for path in [folder / INDEX] if path.is_file())]
    store = cache_folder() / "fingerprints"
    sha256 = known_hash(store, f"weights/{DEFINITION}", files, lambda: _hash_files(folder))
    return Fingerprint(architecture, revision, sha256, hash_configuration(folder))


def fingerprint_model(
    model: nn.Module, revision: str = "memory", tokenizer: PreTrainedTokenizerBase | None = None
) -> Fingerprint:
    """Return the fingerprint of a model in memory: what it would store, in the order of the names.

    The weights' hash equals that of the folder that ``save_pretrained`` makes of it, also where that stores experts one
    by one. Another dtype of the same weights is another fingerprint here.

    Args:
        model: The model.
        revision: What to call where it is from.
        tokenizer: Its tokenizer, where it counts.
    """
    state = model.state_dict()
    # named_parameters gives a tied tensor once, under its first name, as a saved file does; the state dict leaves out
    # buffers that are never saved.
    once = {name for name, _ in [*model.named_parameters(), *model.named_buffers()]}
    kept = {name: state[name] for name in once & state.keys()}
    stored = revert_weight_conversion(model, kept) if isinstance(model, PreTrainedModel) else kept
    configuration = hash_configuration_of(model, tokenizer)
    return Fingerprint(type(model).__name__, revision, hash_tensors(stored), configuration)


def _hash_files(folder: Path) -> str:
    digest = hashlib.sha256()
    checkpoint = Checkpoint(folder)
    for name in checkpoint.tensors:
        add_tensor(digest, name, checkpoint.read([name])[name])
    return digest.hexdigest()
