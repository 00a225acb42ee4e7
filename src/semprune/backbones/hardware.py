"""Devices and number formats of this machine."""

from __future__ import annotations

import torch

from semprune.backbones.source import first_line
from semprune.errors import SettingError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Return a number format by its name; ``auto`` asks the hardware.

    Raises:
        SettingError: There is no such format.
    """
    if dtype == "auto":
        return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    if dtype not in DTYPES:
        raise SettingError("dtype", dtype, f"one of {', '.join(DTYPES)} or auto")
    return DTYPES[dtype]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16 products; others can be slower at them than in fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    features = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(features.get("amx_bf16", False) or features.get("avx512_bf16", False))


def check_device(device: str) -> torch.device:
    """Return a device by its name.

    Raises:
        SettingError: This machine has no such device.
    """
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        raise SettingError("device", device, f"a device of this machine ({first_line(error)})") from error
