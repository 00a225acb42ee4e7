"""The Lightning callback that keeps a pruned model pruned while it is fine-tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from semprune.backbones.layout import language_model
from semprune.errors import ConfigurationError, CorruptArtefactError
from semprune.io.bits import hash_masks
from semprune.pruning.masks.codec import UNREADABLE, decode_masks, encode_masks
from semprune.pruning.masks.file import load_masks
from semprune.pruning.masks.hold import HeldWeights, masks_of_zeros


class HoldMasks(Callback):
    """Keeps pruned weights exactly zero during ``fit``, with any optimizer, momentum and weight decay.

    It works on the Hugging Face causal language model inside the LightningModule, with every strategy that keeps whole
    parameters on each device (one device, DDP). Its state holds the masks: a resumed fit holds the same weights.

    Around the model may be PEFT's LoRA adapters: what they add to pruned weights then counts for nothing, also after
    the fit, so that a merge gives what was trained, with its zeros. Adapters that were saved and are loaded elsewhere
    are merged by :func:`semprune.merge_adapters`.

    Args:
        masks: A file of masks or a pruned folder, also of a method that changed the kept weights; it only has to fit
            the model's matrices. None holds the weights that are zero when the fit starts.

    Raises:
        CorruptArtefactError: The file is no file of masks, or damaged.
    """

    def __init__(self, masks: str | None = None) -> None:
        """Read the masks; the model is touched when the fit starts."""
        self._masks: dict[str, Tensor] | None = None if masks is None else dict(load_masks(Path(masks)).masks)
        self._held: HeldWeights | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set pruned weights to zero and watch over them.

        Raises:
            ConfigurationError: The module holds no causal language model of a known family, or several; none of its
                weights is zero; or the strategy's optimizer is not torch's.
            SettingError: The masks are of another model.
            AdapterError: The model has adapters of another kind than plain LoRA.
        """
        model = language_model(pl_module, "HoldMasks")
        if self._masks is None:
            self._masks = masks_of_zeros(model)
        optimizers = list(trainer.optimizers)
        if not all(hasattr(optimizer, "register_step_post_hook") for optimizer in optimizers):
            raise ConfigurationError(
                f"HoldMasks needs torch optimizers, but strategy {type(trainer.strategy).__name__} has its own. "
                "Use one device or --trainer.strategy ddp."
            )
        self._held = HeldWeights(model, self._masks)
        self._held.attach(optimizers)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop watching; the weights stay pruned."""
        self._release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop watching; Lightning calls no teardown after an exception."""
        self._release()

    def state_dict(self) -> dict[str, Any]:
        """Return the masks, packed into bits; empty before the first fit."""
        if self._masks is None:
            return {}
        header, bits = encode_masks(self._masks)
        return {"shapes": header["shapes"], "bits": bits, "mask_hash": header["mask_hash"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the masks of a checkpoint.

        Raises:
            ConfigurationError: A file of other masks was given.
            CorruptArtefactError: The state is not that of this class, or its masks are damaged.
        """
        if not state_dict:
            return
        try:
            masks = decode_masks(state_dict, state_dict["bits"])
        except UNREADABLE as error:
            raise CorruptArtefactError("the checkpoint's held masks", repr(error), "Start without it.") from error
        if self._masks is not None and hash_masks(self._masks) != state_dict["mask_hash"]:
            raise ConfigurationError(
                "HoldMasks was given a file of other masks than the checkpoint holds. Leave `masks` out to go on with "
                "the checkpoint's, or start without the checkpoint."
            )
        self._masks = masks

    def _release(self) -> None:
        if self._held is not None:
            self._held.release()
            self._held = None
