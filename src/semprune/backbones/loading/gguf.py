"""A GGUF file becomes an ordinary Hugging Face folder: dequantised once, into the cache, whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from gguf import GGML_QUANT_SIZES, dequantize
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

from semprune.assets.cache import writable_folder
from semprune.backbones.families import find_family
from semprune.backbones.loading.gguf_header import OTHER_WEIGHTS, GgufHeader, read_header
from semprune.backbones.loading.reading import reading
from semprune.backbones.loading.rotation import rotation_of
from semprune.errors import BackboneLoadError
from semprune.errors.base import some_of
from semprune.io.terminal import Terminal

CONVERSION = 2
"""Version of the conversion below; part of the folder's name, so that a change of it converts anew."""

ONE_DIGIT_EACH = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
"""Pre-tokenizers of llama.cpp that split a number into digits before byte-pair encoding; transformers drops that step
when it reads a file ("\\n\\n3" then becomes three tokens in place of two)."""

CHANGES_NUMBERS = re.compile(r"scal|softcap|rope\.(?!freq_base|dimension_count$)")
"""Keys that change what a model computes; one that transformers does not read makes another model."""


def converted(name: str, gguf: Path, folder: Path) -> Path:
    """Return the Hugging Face folder made of a GGUF file; make it where it is not there.

    Args:
        name: What the backbone was asked for by, for messages.
        gguf: The file.
        folder: Where it goes, named by its content and :data:`CONVERSION`.

    Raises:
        BackboneLoadError: The file cannot be converted, or there is no room.
        UnknownArchitectureError: No family file describes its model.
    """
    if folder.is_dir():
        return folder
    header = read_header(name, gguf)
    check_header(name, header)
    writable_folder(folder.parent)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():  # another process may have made it while this one waited
            with _part_of(folder) as part:
                _check_room(name, header, part)
                size = f"{header.float32_bytes / 1e9:.1f} GB"
                Terminal(stderr=True).print(f"converting {gguf.name}, once: {size} of float32 weights into {folder}")
                convert(name, gguf, header, part)
    return folder


def check_header(name: str, header: GgufHeader) -> None:
    """Refuse what would be dequantised into another model than the file's.

    Raises:
        BackboneLoadError: A part of several, weights that cannot be dequantised, settings that are not read.
    """
    if header.metadata.get("split.count", 1) > 1:
        remedy = "Join them first, with `llama-gguf-split --merge FIRST_PART JOINED.gguf`."
        raise BackboneLoadError(name, f"it is one of {header.metadata['split.count']} parts of a file", remedy)
    for kind in {tensor.kind for tensor in header.tensors}:
        block = np.zeros((1, GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
        try:
            dequantize(block, kind)
        except NotImplementedError as error:
            raise BackboneLoadError(name, f"its weights are {kind.name}, which are not read", OTHER_WEIGHTS) from error
    architecture = str(header.metadata.get("general.architecture"))
    known = GGUF_CONFIG_MAPPING.get(architecture, {})
    prefix = f"{architecture}."
    unread = {
        key
        for key, value in header.metadata.items()
        if key.startswith(prefix)
        and CHANGES_NUMBERS.search(key)
        and key.removeprefix(prefix) not in known
        and value not in ("none", 1)
    }
    if unread and architecture != "gpt-oss":  # whose scaling transformers reads by itself
        detail = f"transformers does not read its {some_of(unread)} and would compute something else"
        raise BackboneLoadError(name, detail, "Take the model's safetensors folder.")


def convert(name: str, gguf: Path, header: GgufHeader, folder: Path) -> None:
    """Write weights, configuration and tokenizer of a GGUF file as a Hugging Face folder."""
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    with reading(name, "Is the file damaged, or its model one that transformers does not read from GGUF?"):
        model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(**source)
    find_family(type(model).__name__)
    model.config.rope_parameters = rotation_of(name, gguf, header, model.config)
    # transformers takes the dequantised weights for quantised ones and refuses to save them until told otherwise.
    del model.config.quantization_config
    model.hf_quantizer, model.is_quantized = None, False
    model.save_pretrained(folder)
    _add_former_keys(folder / "config.json")
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)  # saved for its owner alone
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    if header.metadata.get("tokenizer.ggml.pre") in ONE_DIGIT_EACH:
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


def _check_room(name: str, header: GgufHeader, folder: Path) -> None:
    needed, free = header.float32_bytes, shutil.disk_usage(folder).free
    if free < needed:
        detail = f"its float32 weights need {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free in {folder}"
        raise BackboneLoadError(name, detail, "Free some space, or set SEMPRUNE_CACHE to a folder on a larger disk.")


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
