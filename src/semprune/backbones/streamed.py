"""A causal language model of which only one decoder block's weights are in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from semprune.backbones.companions import companions
from semprune.backbones.families import find_family
from semprune.backbones.hardware import check_device, resolve_dtype
from semprune.backbones.layout import decoder_layers, prunable_matrices
from semprune.backbones.loading.load import refuse_absent
from semprune.backbones.loading.reading import reading
from semprune.backbones.loading.source import BackboneSource, read_configuration
from semprune.backbones.weights.conversion import Conversion
from semprune.backbones.weights.fingerprint import fingerprint_folder
from semprune.backbones.weights.stored_tensors import Checkpoint
from semprune.errors import BackboneLoadError


class _EmptyOnMeta(TorchFunctionMode):
    """Gives tensors without values no memory: even untouched, they would count for a limit, and tear holes."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Let ``torch.empty`` make meta tensors."""
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        return func(*args, **given)


def skeleton(config: PretrainedConfig, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """Return a causal language model in evaluation mode, frozen, without weights.

    Args:
        config: Its configuration.
        dtype: Number format of the parameters.
        device: Where buffers go that the model computes itself (rotary frequencies, masks …).
    """
    model = _without_weights(config, dtype)
    # transformers computes buffers in fp32 and only then rounds them to the format that construction gave them
    computed = dict(_without_weights(config, torch.float32).named_buffers())
    config.dtype = dtype
    for path, module in model.named_modules():
        for name, value in module.named_buffers(recurse=False):
            if not value.is_meta:
                exact = computed[f"{path}.{name}".removeprefix(".")]
                module._buffers[name] = exact.to(device, value.dtype)  # setattr would make it persistent
    return model.eval().requires_grad_(False)


def _without_weights(config: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    with _EmptyOnMeta(), init_empty_weights(include_buffers=False):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    return model


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
        places: First parameter that each stored tensor becomes; tensors that the model has no place for are left out.
            A head that is stored instead of the embeddings it is tied to has their place.
        conversion: Turns stored tensors into parameters and back.
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
        config = read_configuration(source.name, source.folder)
        self._refuse_quantised(config)
        self._stored = self._stored_dtype(config)
        self.dtype = self._stored if dtype == "stored" else resolve_dtype(dtype, self.device)
        with reading(source.name, "Is a field of its config.json of the wrong type or out of range?"):
            self.model = skeleton(config, self.dtype, self.device)
        self.family = find_family(source.architecture)
        self.blocks = decoder_layers(self.model, self.family)
        self.matrices = prunable_matrices(self.model, self.family)
        self.conversion = Conversion(self.model, self.checkpoint.tensors, self.dtype, self.device)
        self.conversion.check(source.name, self.checkpoint.tensors)
        self.places = {name: targets[0] for name, targets in self.conversion.targets.items() if targets}
        self._stand_in = self._tied_sources()
        self.places |= self._stand_in
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

    @contextmanager
    def outside_blocks(self) -> Iterator[None]:
        """Hold all weights outside the blocks in memory, the head among them."""
        names = [stored for stored, place in self.places.items() if not self.in_a_block(place)]
        with self._read(names, self.model):
            for head, source in self.model.all_tied_weights_keys.items():
                module, _, name = head.rpartition(".")
                setattr(self.model.get_submodule(module), name, self.model.get_parameter(source))
            yield

    def export_block(self, index: int) -> dict[str, Tensor]:
        """Return the open block's parameters under the names in which they are stored."""
        prefix = self._prefix(index)
        state = self.blocks[index].state_dict()
        return self.conversion.revert({f"{prefix}{name}": value.detach().cpu() for name, value in state.items()})

    def in_a_block(self, place: str) -> bool:
        """Whether a parameter's name belongs to a decoder block."""
        return place.startswith(f"{self.family.layers}.")

    def companions(self) -> Iterator[tuple[str, bytes]]:
        """Give the files that a copy of the model in its number format needs, see :func:`companions`."""
        return companions(self.source.folder, None if self.dtype == self._stored else self.dtype)

    @contextmanager
    def _loaded(self, prefix: str | None) -> Iterator[None]:
        names = [stored for stored, place in self.places.items() if self._belongs(place, prefix)]
        with self._read(names, self.model.get_submodule(prefix.rstrip(".")) if prefix else self._body()):
            yield

    @contextmanager
    def _read(self, names: Sequence[str], root: nn.Module) -> Iterator[None]:
        try:
            read = self.checkpoint.read(names)
            self.conversion.load({self._stand_in.get(name, name): value for name, value in read.items()})
            root.requires_grad_(False)
            yield
        finally:
            _release(root)

    def _belongs(self, place: str, prefix: str | None) -> bool:
        if prefix is not None:
            return place.startswith(prefix)
        return place.startswith(f"{self.model.base_model_prefix}.") and not self.in_a_block(place)

    def _body(self) -> nn.Module:
        body: nn.Module = self.model.base_model
        return body

    def _prefix(self, index: int) -> str:
        return f"{self.family.layers}.{index}."

    def _check_complete(self) -> None:
        filled = {target for targets in self.conversion.targets.values() for target in targets}
        tied = set(self.model.all_tied_weights_keys)
        absent = {name for name, value in self._tensors() if value.is_meta} - filled - tied - {*self._stand_in.values()}
        refuse_absent(self.source.name, self.source.folder, absent)

    def _tied_sources(self) -> dict[str, str]:
        """Return the embeddings that a stored tensor stands in for, by its name: transformers ties either way round."""
        stored_for = {targets[0]: name for name, targets in self.conversion.targets.items() if targets}
        tied = self.model.all_tied_weights_keys.items()
        return {stored_for[head]: source for head, source in tied if head in stored_for and source not in stored_for}

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.model.named_parameters()
        yield from self.model.named_buffers()

    def _refuse_quantised(self, config: PretrainedConfig) -> None:
        if getattr(config, "quantization_config", None) is not None:
            raise BackboneLoadError(self.source.name, "its weights are quantised", "Use unquantised weights.")

    def _stored_dtype(self, config: PretrainedConfig) -> torch.dtype:
        if isinstance(config.dtype, torch.dtype):
            return config.dtype
        formats = (stored.dtype for stored in self.checkpoint.tensors.values())
        return next((dtype for dtype in formats if dtype.is_floating_point), torch.float32)  # integers: refused later


def _release(root: nn.Module) -> None:
    """Put parameters back on the meta device; buffers stay."""
    for module in root.modules():
        for name, value in module.named_parameters(recurse=False):
            if not value.is_meta:
                setattr(module, name, nn.Parameter(torch.empty_like(value, device="meta"), requires_grad=False))
