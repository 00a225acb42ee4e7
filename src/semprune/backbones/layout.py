"""Where a model's decoder blocks, prunable matrices and neurons are, read from its family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from semprune.backbones.families import families, find_family
from semprune.backbones.family import Family, FamilyMatrix
from semprune.errors import (
    BackboneLoadError,
    ConfigurationError,
    OffloadedModelError,
    RoutedNeuronsError,
    SettingError,
    UnprunedMatrixError,
)
from semprune.types import NeuronSite, PrunableMatrix

SITE_KINDS = {"mlp": ("down", "mlp"), "attention": ("o", "attn")}
"""Kind of site -> role of the matrix whose input the neurons are, last part of the site's name."""


def family_of(model: nn.Module) -> Family:
    """Return the family of a Hugging Face causal language model, by its class name.

    Raises:
        UnknownArchitectureError: No family declares it.
    """
    return find_family(type(model).__name__)


def language_model(module: nn.Module, user: str) -> nn.Module:
    """Return the one causal language model of a known family that a module is or holds, also inside of wrappers.

    Args:
        module: A LightningModule, a PEFT model …
        user: Who asks, for the error.

    Raises:
        ConfigurationError: It holds none, or several.
    """
    known = {name for family in families() for name in family.architectures}
    found: dict[str, nn.Module] = {
        path: inside for path, inside in module.named_modules() if type(inside).__name__ in known
    }
    if len(found) != 1:
        raise ConfigurationError(
            f"{user} needs the one causal language model of a known family inside {type(module).__name__}, but found "
            f"{', '.join(found) or 'none'}. Make the Hugging Face model an attribute of the module."
        )
    (model,) = found.values()
    return model


def decoder_layers(model: nn.Module, family: Family) -> nn.ModuleList:
    """Return the decoder blocks, in order.

    Raises:
        BackboneLoadError: The model has no such list.
    """
    layers = _module(model, family.layers, family)
    if not isinstance(layers, nn.ModuleList):
        raise _mismatch(model, family, f"'{family.layers}' is a {type(layers).__name__}, not a ModuleList")
    return layers


def prunable_matrices(model: nn.Module, family: Family, *, adapted: bool = False) -> tuple[PrunableMatrix, ...]:
    """Return every prunable linear, block by block, each expert's as one of its own.

    Args:
        model: A Hugging Face causal language model.
        family: Its family.
        adapted: Whether adapters (PEFT's) may lie around matrices; it is the matrix inside that is returned.

    Raises:
        UnprunedMatrixError: A block has a matrix (or a stack of them) that the family does not name.
        BackboneLoadError: A block lacks a matrix that the family names, or holds quantised weights.
    """
    found: list[PrunableMatrix] = []
    for index, layer in enumerate(decoder_layers(model, family)):
        matrices = family.matrices_of(layer)
        for matrix in matrices:
            weight = _check_weight(model, family, layer, matrix)
            found += _named(matrix, weight, f"{family.layers}.{index}.{matrix.path}", index)
        _check_all_named(model, family, matrices, layer, index, adapted=adapted)
    return tuple(found)


def neuron_sites(model: nn.Module, family: Family, kinds: Sequence[str] = ("mlp",)) -> tuple[NeuronSite, ...]:
    """Return the neurons' places, block by block.

    Args:
        model: A Hugging Face causal language model.
        family: Its family.
        kinds: ``mlp``: the input of the MLP's down-projection, site ``layers.{l}.mlp``. ``attention``: the input of
            the attention's output projection, all heads side by side, site ``layers.{l}.attn``.

    Raises:
        SettingError: There is no such kind.
        RoutedNeuronsError: MLP neurons are asked for, and they are inside of experts.
        BackboneLoadError: A block lacks a matrix that the family names, or holds quantised weights.
    """
    for kind in kinds:
        if kind not in SITE_KINDS:
            raise SettingError("kinds", kind, f"some of {', '.join(SITE_KINDS)}")
    sites = []
    for index, layer in enumerate(decoder_layers(model, family)):
        matrices = family.matrices_of(layer)
        for kind in kinds:
            role, suffix = SITE_KINDS[kind]
            readers = [matrix for matrix in matrices if matrix.role == role]
            if any(matrix.experts for matrix in readers):
                raise RoutedNeuronsError(type(model).__name__, index)
            (reader,) = readers
            weight = _check_weight(model, family, layer, reader)
            width = weight.shape[0 if reader.transposed else 1]
            module = f"{family.layers}.{index}.{reader.path}"
            sites.append(NeuronSite(f"layers.{index}.{suffix}", index, kind, width, module))
    return tuple(sites)


def require_in_memory(model: nn.Module) -> None:
    """Refuse a model whose weights are not all in memory: what is written to the others is lost.

    Raises:
        OffloadedModelError: They are not; names the first.
    """
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            raise OffloadedModelError(name)


def kind_of_site(name: str) -> str:
    """Return the kind of a site by its name; names of no kind count as ``mlp``.

    Example:
        >>> kind_of_site("layers.3.attn")
        'attention'
    """
    return next((kind for kind, (_, suffix) in SITE_KINDS.items() if name.endswith(f".{suffix}")), "mlp")


def _named(matrix: FamilyMatrix, weight: Tensor, module: str, layer: int) -> Iterator[PrunableMatrix]:
    if not matrix.experts:
        yield PrunableMatrix(module, layer, matrix.role, matrix.transposed, matrix.parameter)
        return
    for expert in range(weight.shape[0]):
        name = f"{module}.{matrix.parameter}.{expert}"
        yield PrunableMatrix(name, layer, matrix.role, matrix.transposed, matrix.parameter, expert)


def _check_all_named(
    model: nn.Module, family: Family, matrices: Sequence[FamilyMatrix], layer: nn.Module, index: int, *, adapted: bool
) -> None:
    named = {matrix.key for matrix in matrices} | set(family.excluded)
    paths = {matrix.path for matrix in matrices} if adapted else set()
    wrapped = tuple(f"{path}." for path in paths if hasattr(layer.get_submodule(path), "base_layer"))
    given = (name for name, value in layer.named_parameters() if value.ndim >= 2)
    unnamed = [name for name in given if name not in named and not name.startswith(wrapped)]
    if unnamed:
        raise UnprunedMatrixError(type(model).__name__, (f"{family.layers}.{index}.{name}" for name in unnamed))


def _check_weight(model: nn.Module, family: Family, layer: nn.Module, matrix: FamilyMatrix) -> Tensor:
    weight = getattr(_module(layer, matrix.path, family, model), matrix.parameter, None)
    axes = 3 if matrix.experts else 2
    if not isinstance(weight, Tensor) or weight.ndim != axes or not weight.is_floating_point():
        what = "stack of expert matrices" if matrix.experts else "weight matrix"
        raise _mismatch(model, family, f"'{matrix.path}' holds no floating-point {what} (a quantised model?)")
    return weight


def _module(root: nn.Module, path: str, family: Family, model: nn.Module | None = None) -> nn.Module:
    try:
        return root.get_submodule(path)
    except AttributeError as error:
        raise _mismatch(model or root, family, f"there is no '{path}'") from error


def _mismatch(model: nn.Module, family: Family, detail: str) -> BackboneLoadError:
    remedy = f"Use unquantised weights, or describe this layout in semprune/backbones/families/ (now: {family.name})."
    return BackboneLoadError(type(model).__name__, detail, remedy)
