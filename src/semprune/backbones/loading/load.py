"""Loads a frozen backbone from an embedded asset, a local folder or the hub."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from semprune.backbones.backbone import Backbone, describe
from semprune.backbones.hardware import check_device, resolve_dtype
from semprune.backbones.loading.reading import reading
from semprune.backbones.loading.source import find_backbone
from semprune.backbones.weights.conversion import Conversion
from semprune.backbones.weights.fingerprint import fingerprint_folder
from semprune.backbones.weights.stored_tensors import Checkpoint
from semprune.errors import BackboneLoadError
from semprune.errors.base import some_of

logger = logging.getLogger(__name__)


def load_backbone(
    name: str = "smollm2-135m", *, dtype: str = "float32", device: str = "cpu", revision: str | None = None
) -> Backbone:
    """Load a causal language model and freeze it.

    Only safetensors weights are read and no code of the model's repository is run.

    Args:
        name: An embedded backbone, a local folder with ``config.json``, a GGUF file or a folder with one (dequantised
            once, into the cache), or a hub name (organisation/model).
        dtype: ``float32``, ``bfloat16``, ``float16``, or ``auto``: bfloat16 where the hardware multiplies it natively
            (a GPU, or a CPU with AMX or AVX512-BF16: there a product was measured to take half the time of float32's,
            on one thread), else float32. The default is float32: small statistics are lost in less.
        device: Where the weights go, for example ``cpu`` or ``cuda:0``.
        revision: Commit, tag or branch on the hub; None takes the newest. Only for hub names.

    Returns:
        The backbone.

    Raises:
        UnknownBackboneError: The name is none of these.
        UnknownArchitectureError: No family file describes the model.
        UnprunedMatrixError: A decoder block has a matrix that its family does not name.
        BackboneLoadError: The weights are missing, incomplete, pickled, quantised or behind a licence.
        SettingError: ``dtype``, ``device`` or ``revision`` has a value it cannot have.
    """
    place = check_device(device)
    number = resolve_dtype(dtype, place)
    source = find_backbone(name, revision)
    fingerprint = fingerprint_folder(source.folder, source.architecture, source.revision)
    model, tokenizer = _read(name, source.folder, number)
    _follow_index(name, source.folder, model, number)
    return describe(model.to(place), tokenizer, name, fingerprint)


def _read(name: str, folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    with reading(name, _remedy(folder)):
        model, loading = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    # transformers fills what a file lacks with random numbers and only warns.
    refuse_absent(name, folder, {str(key) for kind in ("missing_keys", "mismatched_keys") for key in loading[kind]})
    unplaced = loading["unexpected_keys"]
    if unplaced:
        logger.warning("%s stores %s, for which the model has no place", folder, some_of(map(str, unplaced)))
    return model, load_tokenizer(name, folder)


def _follow_index(name: str, folder: Path, model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Refuse weights that are not what they are taken for, and read again what transformers took from a stale copy.

    Raises:
        BackboneLoadError: A parameter is stored as integers, or twice under two names.
    """
    checkpoint = Checkpoint(folder)
    conversion = Conversion(model, checkpoint.tensors, dtype, torch.device("cpu"))
    conversion.check(name, checkpoint.tensors)
    for remark in checkpoint.remarks():
        logger.warning("%s", remark)
    if checkpoint.copied:
        conversion.load(checkpoint.read(conversion.sources(checkpoint.copied)))
        model.tie_weights()


def load_tokenizer(name: str, folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model folder.

    Raises:
        BackboneLoadError: There is none.
    """
    with reading(name, _remedy(folder)):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer("a")  # some fields of a wrong type show only here
    # transformers makes an empty tokenizer for some models where there is none.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise BackboneLoadError(name, "there is no vocabulary for its tokenizer", _remedy(folder))
    return tokenizer


def refuse_absent(name: str, folder: Path, absent: Iterable[str]) -> None:
    """Refuse a model some of whose parameters are in no file.

    Raises:
        BackboneLoadError: There is one.
    """
    names = list(absent)
    if names:
        raise BackboneLoadError(name, f"the weights lack {some_of(names)}", _remedy(folder))


def _remedy(folder: Path) -> str:
    return f"Are the files in {folder} complete and of this model? Delete a cached folder to have it made again."
