"""Backbones whose weights are an offline asset: converted once into an ordinary Hugging Face folder."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

from semprune.assets import cache_folder, ensure_asset, find_asset
from semprune.assets.cache import writable_folder
from semprune.errors import AssetDiskFullError
from semprune.io.yaml_text import read_yaml

CONVERSION = 2
"""Version of the conversion below; part of the folder's name, so that a change of it converts anew."""

BYTES_PER_GGUF_BYTE = 7
"""Room to ask for: 4.25 to 4.5 bits per weight become 32; ours."""


@dataclass(frozen=True, slots=True)
class EmbeddedBackbone:
    """An entry of ``embedded.yaml``, whose comments explain each field."""

    name: str
    asset: str
    gguf: str
    revision: str
    hub: str
    split_digits: bool = False


@functools.cache
def embedded_backbones() -> dict[str, EmbeddedBackbone]:
    """Return the embedded backbones by name.

    Example:
        >>> sorted(embedded_backbones())
        ['gemma-3-270m', 'smollm2-135m']
    """
    text = resources.files("semprune.backbones.loading").joinpath("embedded.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = read_yaml(text)
    return {name: EmbeddedBackbone(name, **entry) for name, entry in entries.items()}


def embedded_folder(embedded: EmbeddedBackbone) -> Path:
    """Return the Hugging Face folder of an embedded backbone; fetch and convert on first use.

    Raises:
        SempruneError: The asset cannot be had (see ``ensure_asset``), or there is no room for the conversion.
    """
    sha256 = find_asset(embedded.asset).sha256
    folder = cache_folder() / "backbones" / f"{embedded.name}-{sha256[:12]}-v{CONVERSION}"
    if folder.is_dir():
        return folder
    gguf = ensure_asset(embedded.asset) / embedded.gguf
    writable_folder(folder.parent)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():  # another process may have made it while this one waited
            with _part_of(folder) as part:
                _check_room(embedded, gguf, part)
                _convert(embedded, gguf, part)
    return folder


def _convert(embedded: EmbeddedBackbone, gguf: Path, folder: Path) -> None:
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # transformers takes the dequantised weights for quantised ones and refuses to save them until told otherwise.
    del model.config.quantization_config
    model.hf_quantizer, model.is_quantized = None, False
    model.save_pretrained(folder)
    _add_former_keys(folder / "config.json")
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)  # saved for its owner alone
    tokenizer = AutoTokenizer.from_pretrained(**source)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    if embedded.split_digits:
        _split_digits(folder / "tokenizer.json")


def _add_former_keys(path: Path) -> None:
    """Say what transformers 5 says under new names also under those that older versions and other programs look for."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rope = content["rope_parameters"]
    former = {"torch_dtype": content["dtype"]}
    if "full_attention" in rope:  # Gemma 3: one rotation for each kind of layer
        former["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        former["sliding_window_pattern"] = content["_sliding_window_pattern"]
        rope = rope["full_attention"]
    scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
    former["rope_theta"] = rope["rope_theta"]
    former["rope_scaling"] = None if scaling == {"rope_type": "default"} else scaling
    path.write_text(json.dumps(content | former, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _split_digits(path: Path) -> None:
    """Put the digit splitter before the saved tokenizer's own pre-tokenizer."""
    content = json.loads(path.read_text(encoding="utf-8"))
    steps = [{"type": "Digits", "individual_digits": True}, content["pre_tokenizer"]]
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _check_room(embedded: EmbeddedBackbone, gguf: Path, folder: Path) -> None:
    needed, free = BYTES_PER_GGUF_BYTE * gguf.stat().st_size, shutil.disk_usage(folder).free
    if free < needed:
        raise AssetDiskFullError(embedded.asset, needed, free, folder)


@contextmanager
def _part_of(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that takes the folder's name once it is complete and on the disk."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a killed process: this one holds the lock
    part.mkdir()
    try:
        yield part
        for path in part.rglob("*"):
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
