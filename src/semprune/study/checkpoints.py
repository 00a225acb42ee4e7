"""Checkpoints of a study's fit: each whole on the disk or not there, and checked before it is taken up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from semprune.attribution import NeuronSemanticAttribution
from semprune.attribution.fit.checkpoint import read_checkpoint
from semprune.errors import CorruptArtefactError
from semprune.io.files import atomic

COMPLETE = "fit.ckpt"
"""Its presence says that a fit is complete."""
PARTIAL = "last.ckpt"
KEPT_EVERY = timedelta(minutes=2)  # at most so much of a fit is done again after a kill


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a local checkpoint beside its place and renames it.

    Lightning's own goes through the temporary folder, from which a file on another file system is copied: a kill or a
    full disk then leaves half of it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: The system refuses it: no room, no permission.
        """
        if "://" in str(path):  # a remote one
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with atomic(Path(path)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # torch ends its archive in vain, and hides why
                    raise error.__context__ from None
                raise


def keeping_the_last(folder: Path) -> list[lightning.Callback]:
    """One checkpoint, overwritten after each epoch's validation, whose precisions it holds, and every few minutes."""
    name = PARTIAL.removesuffix(".ckpt")
    epochs = ModelCheckpoint(folder, filename=name, save_on_train_epoch_end=False, enable_version_counter=False)
    minutes = ModelCheckpoint(folder, filename=name, train_time_interval=KEPT_EVERY, enable_version_counter=False)
    return [epochs, minutes]


def interrupted_fit(folder: Path) -> str | None:
    """Path of the checkpoint that an interrupted fit left, None where there is none.

    Raises:
        CorruptArtefactError: It is damaged.
    """
    path = folder / PARTIAL
    if not path.is_file():
        return None
    read_checkpoint(path, f"Delete {path} and run the same command again: the association is then fitted anew.")
    return str(path)


def restore(module: NeuronSemanticAttribution, path: Path) -> None:
    """Put a complete fit into a module.

    Raises:
        CorruptArtefactError: It is damaged.
    """
    remedy = f"Delete {path.parent} and run the same command again: the association is then fitted anew."
    checkpoint = read_checkpoint(path, remedy)
    module.on_load_checkpoint(checkpoint)
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise CorruptArtefactError(path, str(error).splitlines()[0], remedy) from error
