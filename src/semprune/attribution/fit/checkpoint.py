"""Checkpoints of a fit: read as tensors and plain values only, never as pickled objects; resumable inside an epoch."""

from __future__ import annotations

import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semprune.attribution.association.fitted_documents import FittedDocuments
from semprune.attribution.fit.learner import AttributionLearner, LearnerShape
from semprune.errors import BackboneMismatchError, ConfigurationError, CorruptArtefactError
from semprune.errors.base import what_it_says
from semprune.io.distributed import distributed, max_over_ranks, rank, sum_over_ranks
from semprune.types import Fingerprint

REMEDY = "Pass a checkpoint that `semprune fit` wrote; where a run was cut off, fit again."


def read_checkpoint(path: Path, remedy: str = REMEDY) -> dict[str, Any]:
    """Read a checkpoint on the CPU.

    Raises:
        CorruptArtefactError: There is no such file, it is damaged, or it is no checkpoint of Lightning's.
    """
    if not path.is_file():
        raise CorruptArtefactError(path, "there is no such file", remedy)
    try:
        _check_sums(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both pass on whatever damaged bytes make them do
        raise CorruptArtefactError(path, what_it_says(error), remedy) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CorruptArtefactError(path, "it holds no state of a module", remedy)
    return checkpoint


def _check_sums(path: Path) -> None:
    """Compare the parts of a checkpoint, which is a zip archive, with their check sums: torch does not."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its part {damaged} is not what was written")


CHECKPOINT_KEY = "semprune"


@dataclass(frozen=True)
class StoredFit:
    """What a checkpoint says of a fit beside the learner's tensors.

    Attributes:
        shape: What fixes the learner's tensors.
        fingerprint: The backbone.
        precision: Average precision of each concept after the last validation.
        fitted: The documents that it is fitted on; None where that is not known (stored before it was kept).
    """

    shape: LearnerShape
    fingerprint: Fingerprint
    precision: dict[str, float]
    fitted: FittedDocuments | None = None

    @classmethod
    def of(cls, checkpoint: dict[str, Any]) -> StoredFit:
        """Read it.

        Raises:
            CorruptArtefactError: The checkpoint is something else altogether.
        """
        stored = checkpoint.get(CHECKPOINT_KEY)
        if not stored:
            raise CorruptArtefactError(
                "the checkpoint", "it holds no association", "Pass a checkpoint that `semprune fit` wrote."
            )
        try:
            shape, fingerprint = LearnerShape(**stored["shape"]), Fingerprint(**stored["fingerprint"])
            fitted = FittedDocuments(**stored["fitted"]) if "fitted" in stored else None
            return cls(shape, fingerprint, dict(stored["precision"]), fitted)
        except (LookupError, TypeError, ValueError) as error:
            raise CorruptArtefactError("the checkpoint", what_it_says(error), REMEDY) from error

    def add_to(self, checkpoint: dict[str, Any]) -> None:
        """Write it, as plain values."""
        checkpoint[CHECKPOINT_KEY] = {name: value for name, value in asdict(self).items() if value is not None}

    def require(
        self, fingerprint: Fingerprint, shape: LearnerShape | None, fitted: FittedDocuments | None = None
    ) -> None:
        """Refuse another backbone's fit, and one that this run cannot take up.

        Args:
            fingerprint: The run's backbone.
            shape: What the run asks for, where that is known already.
            fitted: The documents that the run would fit on, where it fits.

        Raises:
            BackboneMismatchError: It is another backbone's.
            ConfigurationError: It has another shape or other documents than the run asks for.
        """
        if not self.fingerprint.fits(fingerprint):
            raise BackboneMismatchError("the checkpoint", str(self.fingerprint), str(fingerprint))
        if shape is not None and shape != self.shape:
            raise ConfigurationError(
                f"the checkpoint was fitted with {self.shape}, this run asks for {shape}. "
                "Resume with the configuration of the first run."
            )
        if fitted is not None and self.fitted is not None and fitted.digest != self.fitted.digest:
            raise ConfigurationError(
                f"the checkpoint was fitted on {len(self.fitted.hashes)} documents that are not the "
                f"{len(fitted.hashes)} of this run. Resume with the configuration of the first run."
            )


PREFIX = "learner."
MAXIMUM = "standardiser.peak"
STREAMING = {  # by stage of the learner: what is still each rank's own share
    0: ("standardiser.total", "standardiser.squares", "standardiser.tokens", MAXIMUM,
        *(f"{level}.{name}" for level in ("token", "sequence") for name in ("gram", "cross", "squares", "count"))),
    1: tuple(f"{level}.{name}" for level in ("token", "sequence") for name in ("variance", "leverage")),
}  # fmt: skip


def gather_streaming(learner: AttributionLearner, state: dict[str, Any]) -> None:
    """Put sums over the ranks into a module's state that is about to be saved by the first of them.

    Inside an epoch every rank holds the sums of its own documents; all ranks must call this.

    Args:
        learner: As it is on this rank; left as it is.
        state: The module's state dict; changed.
    """
    names = STREAMING.get(int(learner.stage), ())
    if not distributed():
        return
    for name in names:
        whole: Tensor = state[PREFIX + name].clone()
        (max_over_ranks if name == MAXIMUM else sum_over_ranks)(whole)
        state[PREFIX + name] = whole


def share_out_streaming(learner: AttributionLearner) -> None:
    """The reverse, where a fit goes on: the first rank keeps the sums, the others start from 0.

    Call it in the first training step: DDP gives every rank the first one's state, at its first forward once more.
    """
    if rank() == 0:
        return
    state = learner.state_dict()  # the learner's own tensors
    for name in STREAMING.get(int(learner.stage), ()):
        state[name].zero_()


def require_state(learner: AttributionLearner, state: dict[str, Any]) -> None:
    """Refuse a state that does not hold exactly what the learner needs.

    Raises:
        CorruptArtefactError: Something is missing or unknown: another version wrote it.
    """
    wanted = {PREFIX + name for name in learner.state_dict()}
    stored = {name for name in state if name.startswith(PREFIX)}
    if wanted != stored:
        differing = sorted(wanted ^ stored)
        detail = f"another version wrote it: {differing[0]} and {len(differing) - 1} more entries differ"
        raise CorruptArtefactError("the checkpoint", detail, "Fit again with `semprune fit`.")
