"""Which folder a backbone's name stands for, and which class it declares: before any weight is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from semprune.backbones.families import find_family
from semprune.backbones.loading.embedded import embedded_backbones, embedded_folder
from semprune.backbones.loading.hub import CONFIG, FILES, fetch
from semprune.errors import BackboneLoadError, SettingError


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
        name: An embedded backbone, a local folder with ``config.json``, or a hub name (organisation/model).
        revision: Commit, tag or branch on the hub; None takes the newest. Only for hub names.

    Raises:
        UnknownBackboneError: The name is none of the three.
        UnknownArchitectureError: No family file describes the model.
        BackboneLoadError: There is no readable configuration, or the hub does not give the files.
        SettingError: A revision is given for a name that has none.
    """
    embedded = embedded_backbones().get(name)
    local = embedded is not None or Path(name).expanduser().is_dir()
    if local and revision is not None:
        raise SettingError("revision", revision, "left out unless the backbone is a hub name")
    if embedded is not None:
        folder = embedded_folder(embedded)
        return BackboneSource(name, folder, embedded.revision, declared_architecture(name, folder))
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
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise BackboneLoadError(name, first_line(error), "Is config.json damaged, or of an unknown model?") from error
    declared = str((config.architectures or ["none"])[0])
    find_family(declared)
    return declared


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without a full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _find_on_hub(name: str, revision: str | None) -> BackboneSource:
    folder = fetch(name, revision, CONFIG, embedded_backbones())
    architecture = declared_architecture(name, folder)  # refused before gigabytes are downloaded
    commit = folder.name  # the hub's cache names a snapshot's folder by its commit
    return BackboneSource(name, fetch(name, commit, FILES, embedded_backbones()), commit, architecture)
