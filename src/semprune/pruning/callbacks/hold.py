"""The Lightning callback that keeps a pruned model pruned while it is fine-tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from semprune.backbones.families import families
from semprune.errors import ConfigurationError, CorruptArtefactError
from semprune.pruning.masks.bits import hash_masks, pack_bits, unpack_bits
from semprune.pruning.masks.held import HeldWeights, masks_of_zeros
from semprune.pruning.masks.stored import load_masks


class HoldMasks(Callback):
    """Keeps pruned weights exactly zero during ``fit``, with any optimizer, momentum and weight decay.

    It works on the Hugging Face causal language model inside the LightningModule, with every strategy that keeps whole
    parameters on each device (one device, DDP). Its state holds the masks: a resumed fit holds the same weights.

    Args:
        masks: A ``masks.safetensors``, also of a method that changed the kept weights; it only has to fit the model's
            matrices. None holds the weights that are zero when the fit starts.

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
        """
        model = _language_model(pl_module)
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
        return {
            "shapes": {name: list(mask.shape) for name, mask in self._masks.items()},
            "bits": {name: pack_bits(mask) for name, mask in self._masks.items()},
            "mask_hash": hash_masks(self._masks),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the masks of a checkpoint.

        Raises:
            ConfigurationError: A file of other masks was given.
            CorruptArtefactError: The state is not that of this class, or its masks are damaged.
        """
        if not state_dict:
            return
        try:
            masks = {name: unpack_bits(state_dict["bits"][name], tuple(s)) for name, s in state_dict["shapes"].items()}
            if hash_masks(masks) != state_dict["mask_hash"]:
                raise ValueError("its masks do not have the hash that was stored with them")
        except (KeyError, ValueError, TypeError, AttributeError) as error:
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


def _language_model(pl_module: LightningModule) -> nn.Module:
    known = {name for family in families() for name in family.architectures}
    found: dict[str, nn.Module] = {
        path: module for path, module in pl_module.named_modules() if type(module).__name__ in known
    }
    if len(found) != 1:
        raise ConfigurationError(
            f"HoldMasks holds the one causal language model of a known family inside {type(pl_module).__name__}, but "
            f"found {', '.join(found) or 'none'}. Make the Hugging Face model an attribute of the module."
        )
    (model,) = found.values()
    return model
