"""What of a streamed model is outside its decoder blocks: embeddings, last norm, head; copied tensor by tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from semprune.backbones.streamed import StreamedModel


class OutsideBlocks:
    """The tensors of a streamed model outside its decoder blocks, as they are stored, in the model's number format.

    Attributes:
        layout: Number format and shape of each tensor by the name under which ``save_pretrained`` stores it.

    Args:
        streamed: The model.
    """

    def __init__(self, streamed: StreamedModel) -> None:
        """Look at names, shapes and formats; no tensor is read."""
        self._streamed = streamed
        self._stored: dict[str, str] = {}
        self.layout: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}
        for stored in (name for name, place in streamed.places.items() if not streamed.in_a_block(place)):
            entry = streamed.checkpoint.tensors[stored]
            name, tensor = self._export(stored, torch.empty(entry.shape, dtype=entry.dtype, device="meta"))
            self._stored[name] = stored
            self.layout[name] = (tensor.dtype, tuple(tensor.shape))

    def read(self, name: str) -> Tensor:
        """Return a tensor by its name in ``layout``.

        Raises:
            BackboneLoadError: A file is damaged.
        """
        stored = self._stored[name]
        return self._export(stored, self._streamed.checkpoint.read([stored])[stored])[1]

    def _export(self, stored: str, tensor: Tensor) -> tuple[str, Tensor]:
        conversion = self._streamed.conversion
        if stored not in conversion.renamed:  # a part of a parameter, or several in one: handed on as it is
            return stored, tensor
        target = self._streamed.places[stored]
        dtype = self._streamed.model.state_dict()[target].dtype
        ((name, value),) = conversion.revert({target: tensor.to(dtype)}).items()
        return name, value
