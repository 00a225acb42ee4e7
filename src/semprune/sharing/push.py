"""Brings a pruned model, masks or an association to the hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from semprune.sharing.contents import contents
from semprune.sharing.hub import asking


def push(
    path: Path | str, repo: str, *, private: bool | None = None, revision: str | None = None, message: str | None = None
) -> str:
    """Push a pruned folder, masks or an association to a repository of the hub, in one commit.

    Who reads the repository sees all files of it or none. Weights, tokenizer, masks, model card and ``provenance.json``
    go (which holds the command as it was typed); hidden files, code and anything pickled stay. The token is that of
    ``hf auth login`` or of HF_TOKEN.

    Args:
        path: A folder that ``semprune prune`` wrote or ``write_card`` finished, or a file of masks or an association.
        repo: organisation/name; made where it does not exist.
        private: Whether only you may see a repository that is made; None as your account's default.
        revision: Branch; None for main.
        message: Of the commit; None says what it is.

    Returns:
        The address of the commit.

    Raises:
        NotShareableError: The path is nothing that can be pushed.
        SettingError: ``repo`` is no name of a repository.
        HubError: Of the kind of what kept the hub from taking it.
    """
    found = contents(Path(path).expanduser())
    operations = [CommitOperationAdd(name, content) for name, content in found.files.items()]
    api = HfApi(library_name="semprune")
    with asking(repo, revision):
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.create_commit(
            repo, operations, commit_message=message or f"A semprune {found.kind}", revision=revision
        )
    return str(commit.commit_url)
