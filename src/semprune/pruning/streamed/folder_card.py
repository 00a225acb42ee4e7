"""The model card of a streamed pruning's folder."""

from __future__ import annotations

from typing import Any

from semprune.artefacts.card import CARD, stated_in
from semprune.backbones.loading.origin import origin_of
from semprune.pruning.card import write_pruning_card
from semprune.pruning.masks.file import MaskFile
from semprune.pruning.streamed.config import PruneConfig
from semprune.pruning.streamed.output_folder import OutputFolder
from semprune.pruning.streamed.plan import PrunePlan


def write_folder_card(plan: PrunePlan, config: PruneConfig, output: OutputFolder, measured: float) -> None:
    """Write the card that goes with the folder to the hub; it tells no time, so that a resumed run writes the same.

    Args:
        plan: What was done.
        config: What was asked.
        output: The folder.
        measured: Share of zeros in all pruned matrices.

    Raises:
        OutputWriteError: There is no room or no permission.
    """
    header = plan.header()
    with output.writing(output.path / CARD):
        write_pruning_card(
            output.path,
            origin_of(plan.streamed.source),
            header["method"],
            header["settings"],
            measured,
            calibration=_calibration(plan, config, header["calibration"]),
            fingerprint=str(plan.streamed.fingerprint),
            more={"number format": str(plan.streamed.dtype).removeprefix("torch.")},
            masks_only=plan.masks_only,
        )


def _calibration(plan: PrunePlan, config: PruneConfig, sha256: str | None) -> dict[str, Any] | None:
    if sha256 is None:
        return None
    if plan.masks is not None:
        return _of_stored(plan.masks, sha256)
    assert plan.tokens is not None
    (sequences, length), asked = plan.tokens.input_ids.shape, config.calibration
    return {"name": asked.name, "sequences": sequences, "length": length, "seed": asked.seed, "sha256": sha256}


def _of_stored(masks: MaskFile, sha256: str) -> dict[str, Any]:
    """Masks know the hash of their calibration alone; the card of their folder says more."""
    about = stated_in(masks.path.parent.parent).get("semprune")
    known = about.get("calibration") if isinstance(about, dict) else None
    return known if isinstance(known, dict) and known.get("sha256") == sha256 else {"sha256": sha256}
