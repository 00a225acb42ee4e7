"""What a pruning callback takes from a Lightning run: the frozen model and calibration sequences."""

from __future__ import annotations

from jaxtyping import Int
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from semprune.backbones.backbone import Backbone
from semprune.errors import CalibrationMissingError, ConfigurationError


def backbone_of(pl_module: LightningModule, callback: str) -> Backbone:
    """Return the module's frozen model.

    Raises:
        ConfigurationError: The module has no ``lm``, or it is not a backbone.
    """
    lm = getattr(pl_module, "lm", None)
    if not isinstance(lm, Backbone):
        raise ConfigurationError(
            f"callback {callback} prunes `lm` of the module, but {type(pl_module).__name__}.lm is "
            f"{type(lm).__name__}, not a Backbone. Load it with load_backbone before the run starts."
        )
    return lm


def calibration_of(trainer: Trainer, callback: str) -> Int[Tensor, "sequences tokens"]:
    """Return the data module's calibration sequences.

    Raises:
        CalibrationMissingError: There is no data module, or it offers none.
    """
    datamodule = getattr(trainer, "datamodule", None)
    offer = getattr(datamodule, "calibration_input_ids", None)
    if offer is None:
        raise CalibrationMissingError(callback, type(datamodule).__name__)
    input_ids: Tensor = offer()
    return input_ids
