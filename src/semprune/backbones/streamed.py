"""A causal language model of which only one decoder block's weights are in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from semprune.backbones.checkpoint import Checkpoint
from semprune.backbones.conversion import Conversion
from semprune.backbones.families import find_family
from semprune.backbones.fingerprint import fingerprint_folder
from semprune.backbones.layout import decoder_layers, prunable_matrices
from semprune.backbones.load import check_device, resolve_dtype
from semprune.backbones.source import BackboneSource
from semprune.errors import BackboneLoadError


class StreamedModel:
    """A model whose parameters are on the meta device until a block is opened.

    Buffers that are in no file (rotary frequencies …) are real from the start.

    Attributes:
        source: Where its files are.
        model: The Hugging Face model.
        family: Where its matrices are.
        blocks: Its decoder blocks, in order.
        matrices: Its prunable matrices, block by block.
        fingerprint: Which weights these are.
        checkpoint: Its stored tensors.
        dtype: Number format of the parameters.

    Args:
        source: Where its files are.
        dtype: ``stored`` (what the configuration says, else the first stored tensor), or as in ``load_backbone``.
        device: Where opened blocks go.

    Raises:
        BackboneLoadError: The weights are missing, incomplete, damaged or quantised.
        UnprunedMatrixError: A decoder block has a matrix that its family does not name.
        SettingError: ``dtype`` or ``device`` has a value it cannot have.
    """

    def __init__(self, source: BackboneSource, *, dtype: str = "stored", device: str = "cpu") -> None:
        """Read the configuration and the headers of the weights; no tensor is read but to hash it."""
        self.source = source
        self.device = check_device(device)
        self.checkpoint = Checkpoint(source.folder)
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False)
        self._refuse_quantised(config)
        self.dtype = self._stored_dtype(config) if dtype == "stored" else resolve_dtype(dtype, self.device)
        self.model = _skeleton(config, self.dtype, self.device)
        self.family = find_family(source.architecture)
        self.blocks = decoder_layers(self.model, self.family)
        self.matrices = prunable_matrices(self.model, self.family)
        self._conversion = Conversion(self.model, list(self.checkpoint.tensors), self.dtype, self.device)
        self._places = self._by_place()
        self._check_complete()
        self.fingerprint = fingerprint_folder(source.folder, source.architecture, source.revision)

    @contextmanager
    def block(self, index: int) -> Iterator[nn.Module]:
        """Hold one decoder block's weights in memory.

        Raises:
            BackboneLoadError: A file is damaged.
        """
        with self._loaded(self._prefix(index)):
            yield self.blocks[index]

    @contextmanager
    def around_blocks(self) -> Iterator[None]:
        """Hold the body's weights outside the blocks in memory: embeddings and norms, not the head."""
        with self._loaded(None):
            yield

    def export_block(self, index: int) -> dict[str, Tensor]:
        """Return the open block's parameters under the names in which they are stored."""
        prefix = self._prefix(index)
        state = self.blocks[index].state_dict()
        return self._conversion.revert({f"{prefix}{name}": value.detach().cpu() for name, value in state.items()})

    def outside_blocks(self) -> Iterator[dict[str, Tensor]]:
        """Yield the stored tensors outside the blocks, head included, one by one, in the model's number format."""
        for name in sorted(stored for stored, place in self._places.items() if not self._in_a_block(place)):
            (target, *others) = self._conversion.targets[name]
            tensor = self.checkpoint.read([name])[name]
            if others:  # several parameters in one tensor: handed on as it is
                yield {name: tensor}
            else:
                yield self._conversion.revert({target: self._as_parameter(target, tensor)})

    def block_bytes(self) -> int:
        """Return the size of the largest block's parameters, in bytes."""
        return max(_size(block.parameters()) for block in self.blocks)

    def around_bytes(self) -> int:
        """Return the size of the body's parameters outside the blocks, in bytes."""
        inside = {id(value) for block in self.blocks for value in block.parameters()}
        return _size(value for value in self._body().parameters() if id(value) not in inside)

    def total_bytes(self) -> int:
        """Return the size of all parameters, in bytes."""
        return _size(self.model.parameters())

    def _as_parameter(self, target: str, tensor: Tensor) -> Tensor:
        place = self.model.get_parameter_or_buffer(target)
        return tensor.to(place.dtype) if tensor.is_floating_point() else tensor

    @contextmanager
    def _loaded(self, prefix: str | None) -> Iterator[None]:
        names = [stored for stored, place in self._places.items() if self._belongs(place, prefix)]
        root = self.model.get_submodule(prefix.rstrip(".")) if prefix else self._body()
        try:
            self._conversion.load(self.checkpoint.read(names))
            root.requires_grad_(False)
            yield
        finally:
            _release(root)

    def _belongs(self, place: str, prefix: str | None) -> bool:
        if prefix is not None:
            return place.startswith(prefix)
        return place.startswith(f"{self.model.base_model_prefix}.") and not self._in_a_block(place)

    def _body(self) -> nn.Module:
        body: nn.Module = self.model.base_model
        return body

    def _prefix(self, index: int) -> str:
        return f"{self.family.layers}.{index}."

    def _in_a_block(self, place: str) -> bool:
        return place.startswith(f"{self.family.layers}.")

    def _by_place(self) -> dict[str, str]:
        """First parameter that each stored tensor becomes; tensors without a place are left out."""
        return {name: targets[0] for name, targets in self._conversion.targets.items() if targets}

    def _check_complete(self) -> None:
        filled = {target for targets in self._conversion.targets.values() for target in targets}
        tied = set(self.model.all_tied_weights_keys)
        absent = sorted({name for name, _ in self.model.named_parameters()} - filled - tied)
        if absent:
            more = f" and {len(absent) - 5} more" if absent[5:] else ""
            detail = f"the weights lack {', '.join(absent[:5])}{more}"
            remedy = f"Are the files in {self.source.folder} complete and of this model?"
            raise BackboneLoadError(self.source.name, detail, remedy)

    def _refuse_quantised(self, config: PretrainedConfig) -> None:
        if getattr(config, "quantization_config", None) is not None:
            raise BackboneLoadError(self.source.name, "its weights are quantised", "Use unquantised weights.")

    def _stored_dtype(self, config: PretrainedConfig) -> torch.dtype:
        if isinstance(config.dtype, torch.dtype):
            return config.dtype
        return next(t.dtype for t in self.checkpoint.tensors.values() if t.dtype.is_floating_point)


def _skeleton(config: PretrainedConfig, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    with init_empty_weights(include_buffers=False):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    for module in model.modules():
        for name, value in module.named_buffers(recurse=False):
            module._buffers[name] = value.to(device)  # setattr would make a persistent buffer of it
    return model.eval().requires_grad_(False)


def _release(root: nn.Module) -> None:
    """Put parameters back on the meta device; buffers stay."""
    for module in root.modules():
        for name, value in module.named_parameters(recurse=False):
            if not value.is_meta:
                setattr(module, name, nn.Parameter(torch.empty_like(value, device="meta"), requires_grad=False))


def _size(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
