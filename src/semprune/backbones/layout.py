"""Where a model's decoder blocks, prunable matrices and neurons are, read from its family."""

from __future__ import annotations

from torch import Tensor, nn

from semprune.backbones.families import find_family
from semprune.backbones.family import Family
from semprune.errors import BackboneLoadError, UnprunedMatrixError
from semprune.types import NeuronSite, PrunableMatrix


def family_of(model: nn.Module) -> Family:
    """Return the family of a Hugging Face causal language model, by its class name.

    Raises:
        UnknownArchitectureError: No family declares it.
    """
    return find_family(type(model).__name__)


def decoder_layers(model: nn.Module, family: Family) -> nn.ModuleList:
    """Return the decoder blocks, in order.

    Raises:
        BackboneLoadError: The model has no such list.
    """
    layers = _module(model, family.layers, family)
    if not isinstance(layers, nn.ModuleList):
        raise _mismatch(model, family, f"'{family.layers}' is a {type(layers).__name__}, not a ModuleList")
    return layers


def prunable_matrices(model: nn.Module, family: Family) -> tuple[PrunableMatrix, ...]:
    """Return every prunable linear, block by block.

    Raises:
        UnprunedMatrixError: A block has a matrix (or a stack of them) that the family does not name.
        BackboneLoadError: A block lacks a matrix that the family names, or holds quantised weights.
    """
    found = []
    for index, layer in enumerate(decoder_layers(model, family)):
        for matrix in family.matrices:
            _check_weight(model, family, layer, matrix.path)
            name = f"{family.layers}.{index}.{matrix.path}"
            found.append(PrunableMatrix(name, index, matrix.role, matrix.transposed))
        _check_all_named(model, family, layer, index)
    return tuple(found)


def neuron_sites(model: nn.Module, family: Family) -> tuple[NeuronSite, ...]:
    """Return the neurons' places, one per decoder block: the input of the MLP's down-projection."""
    sites = []
    for index, layer in enumerate(decoder_layers(model, family)):
        weight = _check_weight(model, family, layer, family.down.path)
        width = weight.shape[0 if family.down.transposed else 1]
        module = f"{family.layers}.{index}.{family.down.path}"
        sites.append(NeuronSite(f"layers.{index}.mlp", index, "mlp", width, module))
    return tuple(sites)


def _check_all_named(model: nn.Module, family: Family, layer: nn.Module, index: int) -> None:
    named = {f"{matrix.path}.weight" for matrix in family.matrices} | set(family.excluded)
    unnamed = [name for name, value in layer.named_parameters() if value.ndim >= 2 and name not in named]
    if unnamed:
        raise UnprunedMatrixError(type(model).__name__, (f"{family.layers}.{index}.{name}" for name in unnamed))


def _check_weight(model: nn.Module, family: Family, layer: nn.Module, path: str) -> Tensor:
    weight = getattr(_module(layer, path, family, model), "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2 or not weight.is_floating_point():
        raise _mismatch(model, family, f"'{path}' holds no floating-point weight matrix (a quantised model?)")
    return weight


def _module(root: nn.Module, path: str, family: Family, model: nn.Module | None = None) -> nn.Module:
    try:
        return root.get_submodule(path)
    except AttributeError as error:
        raise _mismatch(model or root, family, f"there is no '{path}'") from error


def _mismatch(model: nn.Module, family: Family, detail: str) -> BackboneLoadError:
    remedy = f"Use unquantised weights, or describe this layout in semprune/backbones/families/ (now: {family.name})."
    return BackboneLoadError(type(model).__name__, detail, remedy)
