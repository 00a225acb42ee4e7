"""Fetches a pruned model, masks or an association from the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from semprune.errors import OutputOccupiedError, UnsafeRepositoryError
from semprune.sharing.contents import shared
from semprune.sharing.hub import SAFE, asking

UNFINISHED = ".cache/huggingface"
"""What huggingface_hub keeps of a download in the folder, to go on with."""
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".npy")


def pull(repo: str, path: Path | str, *, revision: str | None = None) -> Path:
    """Fetch a repository of the hub into a folder: tensors as safetensors, tokenizer, card; nothing pickled, no code.

    Args:
        repo: organisation/name.
        path: The folder, new or empty; an interrupted pull goes on there.
        revision: Commit, tag or branch; None takes the newest.

    Returns:
        The folder.

    Raises:
        OutputOccupiedError: The folder holds something else.
        UnsafeRepositoryError: The repository has no safetensors file.
        SettingError: ``repo`` is no name of a repository.
        HubError: Of the kind of what kept the hub from giving it.
    """
    folder = Path(path).expanduser()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / UNFINISHED).is_dir()):
        raise OutputOccupiedError(folder, "is not empty")
    with asking(repo, revision):
        about = HfApi(library_name="semprune").model_info(repo, revision=revision)
        names = [each.rfilename for each in about.siblings or []]
        if not any(name.endswith(".safetensors") for name in names if shared(name)):
            raise UnsafeRepositoryError(repo, [name for name in names if name.endswith(PICKLED)])
        snapshot_download(repo, revision=about.sha, local_dir=folder, allow_patterns=list(SAFE), ignore_patterns=[".*"])
    shutil.rmtree(folder / ".cache")
    return folder
