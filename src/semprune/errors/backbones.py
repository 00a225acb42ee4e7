"""Language models: loading, layout, capture."""

from __future__ import annotations

from collections.abc import Iterable

from semprune.errors.base import SempruneError, UnknownNameError


class UnknownBackboneError(UnknownNameError):
    """Neither an embedded backbone, nor a local folder, nor a model that the hub gave."""

    kind = "backbone"
    remedy = " Or pass a hub name (organisation/model, with network), a folder that holds config.json, or a .gguf file."


class UnknownArchitectureError(UnknownNameError):
    """A model whose neurons and matrices no family file describes."""

    kind = "model architecture"
    remedy = " Add one file to semprune/backbones/families/ that says where its neurons and matrices are."


class BackboneLoadError(SempruneError):
    """A backbone that is found but cannot be used: weights missing, incomplete, quantised, or out of reach."""

    def __init__(self, backbone: str, detail: str, remedy: str) -> None:
        """Name the backbone, what is wrong and what to do."""
        super().__init__(f"backbone '{backbone}' could not be loaded: {detail}. {remedy}")


class OffloadedModelError(SempruneError):
    """A model some of whose weights are not in memory."""

    def __init__(self, parameter: str) -> None:
        """Name one of its parameters that is elsewhere."""
        super().__init__(
            f"{parameter} is not in memory: the model is offloaded (device_map, disk_offload …), or was made "
            "without weights. Load it without, or run `semprune prune` on its folder, which holds one block at a time."
        )


class CaptureError(SempruneError):
    """A capture whose hooks did not fire, or fired on something unexpected."""

    def __init__(self, detail: str) -> None:
        """Say what was not captured."""
        super().__init__(f"activation capture: {detail}. Capture before torch.compile, and pass the module that runs.")


class UnprunedMatrixError(SempruneError):
    """A matrix in a decoder block that is neither pruned nor named as excluded."""

    def __init__(self, architecture: str, matrices: Iterable[str]) -> None:
        """List the matrices."""
        super().__init__(
            f"{architecture}: these decoder matrices are neither prunable nor excluded: {', '.join(matrices)}. "
            "Name each of them in the family's file, as a role or as excluded."
        )


class RoutedNeuronsError(SempruneError):
    """MLP neurons asked of a block whose MLP is a mixture of experts."""

    def __init__(self, architecture: str, layer: int) -> None:
        """Name the architecture and the block."""
        super().__init__(
            f"{architecture}: the MLP neurons of block {layer} are inside of experts and have a value only at the "
            "tokens routed to these; they cannot be associated with concepts. Ask for kinds=('attention',), or use "
            "this backbone for pruning and evaluation only."
        )


class NonFiniteError(SempruneError):
    """NaN or infinity where numbers must be finite."""

    def __init__(self, where: str, remedy: str = "Try float32 for the backbone; check the model's weights.") -> None:
        """Name the place."""
        super().__init__(f"{where} holds NaN or infinite values. {remedy}")
