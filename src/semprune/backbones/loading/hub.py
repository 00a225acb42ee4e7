"""Brings a model of the hub into the hub's own cache."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

from semprune.errors import BackboneLoadError, UnknownBackboneError

CONFIG = ("config.json",)
FILES = ("*.json", "*.txt", "*.jinja", "tokenizer*.model", "model.safetensors", "model-*.safetensors")
"""Configuration, tokenizer and safetensors weights; no pickled weights, no code, no second copy in another format."""


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
