"""Loads a frozen backbone from an embedded asset, a local folder or the hub."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from semprune.backbones.backbone import Backbone, describe
from semprune.backbones.embedded import embedded_backbones, embedded_folder
from semprune.backbones.families import find_family
from semprune.backbones.fingerprint import fingerprint_folder
from semprune.backbones.hub import CONFIG, FILES, fetch
from semprune.errors import BackboneLoadError, SettingError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_backbone(
    name: str = "smollm2-135m", *, dtype: str = "float32", device: str = "cpu", revision: str | None = None
) -> Backbone:
    """Load a causal language model and freeze it.

    Only safetensors weights are read and no code of the model's repository is run.

    Args:
        name: An embedded backbone, a local folder with ``config.json``, or a hub name (organisation/model).
        dtype: ``float32``, ``bfloat16``, ``float16``, or ``auto``: bfloat16 where the hardware multiplies it natively
            (a GPU, or a CPU with AMX or AVX512-BF16: there a product was measured to take half the time of float32's,
            on one thread), else float32. The default is float32: small statistics are lost in less.
        device: Where the weights go, for example ``cpu`` or ``cuda:0``.
        revision: Commit, tag or branch on the hub; None takes the newest. Only for hub names.

    Returns:
        The backbone.

    Raises:
        UnknownBackboneError: The name is none of the three.
        UnknownArchitectureError: No family file describes the model.
        UnprunedMatrixError: A decoder block has a matrix that its family does not name.
        BackboneLoadError: The weights are missing, incomplete, pickled, quantised or behind a licence.
        SettingError: ``dtype``, ``device`` or ``revision`` has a value it cannot have.
    """
    place = _check_device(device)
    number = _resolve_dtype(dtype, place)
    embedded = embedded_backbones().get(name)
    local = embedded is not None or Path(name).expanduser().is_dir()
    if local and revision is not None:
        raise SettingError("revision", revision, "left out unless the backbone is a hub name")
    if embedded is not None:
        return _load_folder(name, embedded_folder(embedded), embedded.revision, number, place)
    if local:
        return _load_folder(name, Path(name).expanduser(), "local", number, place)
    return _load_hub(name, revision, number, place)


def _load_hub(name: str, revision: str | None, dtype: torch.dtype, device: torch.device) -> Backbone:
    folder = fetch(name, revision, CONFIG, embedded_backbones())
    _architecture(name, folder)  # refuse an unknown model before gigabytes are downloaded
    commit = folder.name  # the hub's cache names a snapshot's folder by its commit
    return _load_folder(name, fetch(name, commit, FILES, embedded_backbones()), commit, dtype, device)


def _load_folder(name: str, folder: Path, revision: str, dtype: torch.dtype, device: torch.device) -> Backbone:
    architecture = _architecture(name, folder)
    fingerprint = fingerprint_folder(folder, architecture, revision)
    model, tokenizer = _read(name, folder, dtype)
    return describe(model.to(device), tokenizer, name, fingerprint)


def _architecture(name: str, folder: Path) -> str:
    """Return the declared class, before any weight is read; never load it as another class."""
    if not (folder / "config.json").is_file():
        raise BackboneLoadError(name, "there is no config.json", "Pass a folder made by save_pretrained.")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise BackboneLoadError(name, _first_line(error), "Is config.json damaged, or of an unknown model?") from error
    declared = str((config.architectures or ["none"])[0])
    find_family(declared)
    return declared


def _read(name: str, folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    remedy = f"Are the files in {folder} complete and of this model? Delete a cached folder to have it made again."
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise BackboneLoadError(name, _first_line(error), remedy) from error
    # transformers fills what a file lacks with random numbers and only warns.
    absent = sorted({str(key) for kind in ("missing_keys", "mismatched_keys") for key in loading[kind]})
    if absent:
        detail = f"the weights lack {', '.join(absent[:5])}" + (f" and {len(absent) - 5} more" if absent[5:] else "")
        raise BackboneLoadError(name, detail, remedy)
    # It also makes an empty tokenizer for some models where there is none.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise BackboneLoadError(name, "there is no vocabulary for its tokenizer", remedy)
    return model, tokenizer


def _resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32
    if dtype not in DTYPES:
        raise SettingError("dtype", dtype, f"one of {', '.join(DTYPES)} or auto")
    return DTYPES[dtype]


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    features = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(features.get("amx_bf16", False) or features.get("avx512_bf16", False))


def _check_device(device: str) -> torch.device:
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        raise SettingError("device", device, f"a device of this machine ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
