"""Which folder a backbone's name stands for, and which class it declares: before any weight is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from transformers import AutoConfig, PretrainedConfig

from semprune.backbones.families import find_family
from semprune.backbones.loading.embedded import embedded_backbones, embedded_folder
from semprune.backbones.loading.own_gguf import find_gguf, own_gguf_folder
from semprune.backbones.loading.reading import reading
from semprune.backbones.weights.stored_tensors import SINGLE, listed_files
from semprune.errors import BackboneLoadError, SettingError, UnknownBackboneError

CONFIG = ("config.json",)
BESIDE = ("*.json", "*.txt", "*.jinja", "*.model", "*.tiktoken")
"""Configuration and tokenizer; no code. Weights are asked for by name: no pickled ones, no second copy of them."""
LAYER_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
MOST_LAYERS = 1000
"""Several times those of the deepest model that there is; ours."""


def fetch(name: str, revision: str | None, files: Iterable[str], known: Iterable[str]) -> Path:
    """Download a model's files, or find them in the hub's cache.

    Args:
        name: Hub name, organisation/model.
        revision: Commit, tag or branch; None takes the newest.
        files: Glob patterns of the files to bring.
        known: Names of the embedded backbones, for the error.

    Returns:
        The snapshot folder, whose name is the commit.

    Raises:
        UnknownBackboneError: The hub has no such model, or the name cannot be one of its names.
        BackboneLoadError: The model is behind a licence, the revision does not exist, or the hub cannot be reached.
    """
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(files)))
    except GatedRepoError as error:
        remedy = "Accept its licence on the model's page, then log in with `hf auth login`."
        raise BackboneLoadError(name, "the hub gives it only to those who accepted its licence", remedy) from error
    except LocalEntryNotFoundError as error:
        if "/" not in name:  # rather a mistyped embedded name than one of the few hub names without an organisation
            raise UnknownBackboneError(name, known) from error
        remedy = f"Check the network, or pass a local folder or an embedded backbone: {', '.join(known)}."
        raise BackboneLoadError(
            name, "the hub cannot be reached and its cache does not hold this model", remedy
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UnknownBackboneError(name, known) from error
    except (OSError, ValueError) as error:
        detail = f"the hub answered: {str(error).strip().splitlines()[0].rstrip('.')}"
        raise BackboneLoadError(name, detail, "Check the revision and the network.") from error


@dataclass(frozen=True, slots=True)
class BackboneSource:
    """Where a backbone's files are.

    Attributes:
        name: What it was asked for by.
        folder: Holds ``config.json``, the weights and the tokenizer.
        revision: Commit, release or ``local``.
        architecture: Class name that the configuration declares, of a known family.
    """

    name: str
    folder: Path
    revision: str
    architecture: str


def find_backbone(name: str, revision: str | None = None) -> BackboneSource:
    """Return where a backbone's files are; fetch them where they are not on this machine.

    Args:
        name: An embedded backbone, a local folder with ``config.json``, a GGUF file or a folder with one, or a hub name
            (organisation/model).
        revision: Commit, tag or branch on the hub; None takes the newest. Only for hub names.

    Raises:
        UnknownBackboneError: The name is none of these.
        UnknownArchitectureError: No family file describes the model.
        BackboneLoadError: There is no readable configuration, or the hub does not give the files.
        SettingError: A revision is given for a name that has none.
    """
    embedded = embedded_backbones().get(name)
    gguf = None if embedded is not None else find_gguf(name)
    local = embedded is not None or gguf is not None or Path(name).expanduser().is_dir()
    if local and revision is not None:
        raise SettingError("revision", revision, "left out unless the backbone is a hub name")
    if embedded is not None:
        folder = embedded_folder(embedded)
        return BackboneSource(name, folder, embedded.revision, declared_architecture(name, folder))
    if gguf is not None:
        folder = own_gguf_folder(name, gguf)
        return BackboneSource(name, folder, "local", declared_architecture(name, folder))
    if local:
        folder = Path(name).expanduser()
        return BackboneSource(name, folder, "local", declared_architecture(name, folder))
    return _find_on_hub(name, revision)


def declared_architecture(name: str, folder: Path) -> str:
    """Return the class that a folder's configuration declares; a model is never loaded as another class.

    Raises:
        UnknownArchitectureError: No family file describes it.
        BackboneLoadError: There is no readable configuration.
    """
    if not (folder / "config.json").is_file():
        raise BackboneLoadError(name, "there is no config.json", "Pass a folder made by save_pretrained.")
    config = read_configuration(name, folder)
    if getattr(config, "transformers_weights", None) is not None:
        detail = "config.json names a file of weights itself (transformers_weights), which other readers do not read"
        raise BackboneLoadError(name, detail, "Store the weights as model.safetensors or with an index.")
    architectures = config.architectures or ["none"]
    if not isinstance(architectures, list):
        raise BackboneLoadError(name, f"architectures in config.json is {architectures!r}", "It is a list of a class.")
    declared = str(architectures[0])
    find_family(declared)
    return declared


def read_configuration(name: str, folder: Path) -> PretrainedConfig:
    """Read a folder's ``config.json``.

    Raises:
        BackboneLoadError: There is none that can be read.
    """
    with reading(name, "Is config.json damaged, or of an unknown model, or one of its fields of a wrong type?"):
        _check_layers(name, folder / "config.json")
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    return config


def _check_layers(name: str, path: Path) -> None:
    """Refuse no layers, and layers that would be made, one by one, until memory ends."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in LAYER_KEYS if isinstance(content, dict) else ():
        if isinstance(layers := content.get(key), int) and not 1 <= layers <= MOST_LAYERS:
            raise BackboneLoadError(name, f"config.json says {key} {layers:g}", f"1 to {MOST_LAYERS} are read.")


def _find_on_hub(name: str, revision: str | None) -> BackboneSource:
    folder = fetch(name, revision, CONFIG, embedded_backbones())
    architecture = declared_architecture(name, folder)  # refused before gigabytes are downloaded
    commit = folder.name  # the hub's cache names a snapshot's folder by its commit
    fetch(name, commit, (*BESIDE, SINGLE), embedded_backbones())
    shards = listed_files(folder)  # of whatever names: model-00001-of-…, model.safetensors-00001-of-…
    if shards:
        fetch(name, commit, shards, embedded_backbones())
    return BackboneSource(name, folder, commit, architecture)
