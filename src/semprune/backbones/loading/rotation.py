"""Rotary positions of a GGUF file: some scalings are stored as a tensor of factors, which transformers passes over."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from gguf import dequantize
from jaxtyping import Float64
from transformers import PretrainedConfig

from semprune.backbones.loading.gguf_header import GgufHeader, GgufTensor
from semprune.errors import BackboneLoadError

FREQUENCIES = "rope_freqs.weight"
LLAMA_3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""What all releases of Llama 3.1 to 3.3 have; ``factor`` is 8 or 32."""


def rotation_of(name: str, gguf: Path, header: GgufHeader, config: PretrainedConfig) -> dict[str, Any]:
    """Return the rotary settings of a file's model, with the scaling that its tensors stand for.

    Args:
        name: What the backbone was asked for by, for messages.
        gguf: The file.
        header: Its header.
        config: What transformers made of the file.

    Raises:
        BackboneLoadError: The factors are of no scaling that is known.
    """
    rope: dict[str, Any] = dict(config.rope_parameters)
    local = header.metadata.get(f"{header.metadata['general.architecture']}.rope.freq_base_swa")
    if local is not None and "sliding_attention" in rope:
        rope["sliding_attention"] = rope["sliding_attention"] | {"rope_theta": local}
    scaled = {tensor.name: _values(gguf, tensor) for tensor in header.tensors if tensor.name.startswith("rope_")}
    scaled = {tensor: factors for tensor, factors in scaled.items() if not np.allclose(factors, 1.0)}
    if not scaled:
        return rope
    scaling = LLAMA_3 | {"factor": float(max(map(np.max, scaled.values())))}
    known = set(scaled) == {FREQUENCIES} and np.allclose(
        scaled[FREQUENCIES], llama_3_factors(rope["rope_theta"], scaling, scaled[FREQUENCIES].size), rtol=1e-4
    )
    if not known:
        detail = f"its rotary positions are scaled ({', '.join(sorted(scaled))}) in a way that is not known"
        raise BackboneLoadError(name, detail, "Take the model's safetensors folder.")
    return rope | scaling | {"rope_type": "llama3"}


def llama_3_factors(theta: float, scaling: dict[str, float], frequencies: int) -> Float64[np.ndarray, "frequencies"]:
    """By what Llama 3 divides each rotary frequency.

    Source: the model's published code: short waves stay, long ones are divided by ``factor``, between them it is mixed.

    Example:
        >>> llama_3_factors(5e5, LLAMA_3 | {"factor": 8.0}, 64)[[0, 63]].tolist()
        [1.0, 8.0]
    """
    waves = 2 * math.pi * theta ** (np.arange(frequencies) / frequencies)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    short = (scaling["original_max_position_embeddings"] / waves - low) / (high - low)
    short = np.clip(short, 0.0, 1.0)
    return 1.0 / ((1.0 - short) / scaling["factor"] + short)


def _values(gguf: Path, tensor: GgufTensor) -> Float64[np.ndarray, "frequencies"]:
    stored = np.memmap(gguf, dtype=np.uint8, mode="r", offset=tensor.start, shape=(1, tensor.end - tensor.start))
    factors: np.ndarray = dequantize(stored, tensor.kind)
    return factors.astype(np.float64).ravel()
