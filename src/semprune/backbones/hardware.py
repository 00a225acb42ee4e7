"""Devices and number formats of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from semprune.errors import SettingError
from semprune.errors.base import first_line

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
HALF = (torch.bfloat16, torch.float16)


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


@cache
def onednn_keeps_fp32() -> bool:
    """Whether oneDNN multiplies fp32 matrices in full precision where it is allowed to round them to bfloat16.

    So it is on x86 CPUs with AVX-512 and without AMX: it then takes kernels of its own for fp32, which on AMD's are
    twice as fast as those of MKL, torch's default. The permission is the only way to ask for them. A product that would
    show the rounding is computed once.
    """
    features = torch.cpu.get_capabilities()
    if not features.get("avx512_f", False) or features.get("amx_tile", True):
        return False
    with _cpu_matmul_precision("bf16"):
        fine = torch.full((256, 512), 1 + 2**-12)  # bfloat16 has 8 bits
        return bool(((fine @ torch.ones(512, 256)) == 512 + 2**-3).all())


@contextmanager
def fast_fp32() -> Iterator[None]:
    """Let oneDNN multiply fp32 matrices where it keeps their precision; elsewhere nothing changes.

    For whole commands: the setting is the process's.
    """
    if onednn_keeps_fp32():
        with _cpu_matmul_precision("bf16"):
            yield
    else:
        yield


@contextmanager
def _cpu_matmul_precision(precision: str) -> Iterator[None]:
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # untyped
    before, matmul.fp32_precision = matmul.fp32_precision, precision
    try:
        yield
    finally:
        matmul.fp32_precision = before


class _Fp32Attention(TorchFunctionMode):
    """Computes attention of half-precision numbers in fp32, and gives it back in their format."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.scaled_dot_product_attention:
            query = args[0] if args else kwargs["query"]
            if query.dtype in HALF:
                wide = [_in_fp32(value) for value in args]
                found = func(*wide, **{name: _in_fp32(value) for name, value in kwargs.items()})
                return found.to(query.dtype)
        return func(*args, **kwargs)


def _in_fp32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in HALF else value


@contextmanager
def differentiable(device: torch.device) -> Iterator[None]:
    """Let gradients flow, whatever surrounds it: no inference mode, and attention that is quick backwards.

    Backwards, torch's attention of half-precision numbers on a CPU takes up to eight times as long as that of fp32
    (texts of 37 tokens; as long at 1,024).

    Args:
        device: The model's.
    """
    attention = _Fp32Attention() if device.type == "cpu" else nullcontext()
    with torch.inference_mode(False), torch.enable_grad(), attention:
        yield


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


@contextmanager
def full_fp32(operands: torch.dtype | None = None) -> Iterator[None]:
    """No TF32 and no bf16 inside fp32 products; the user's setting comes back on leaving.

    Second moments and their inverse lose half their digits otherwise. Source: equations.md P4 (TF32 off).

    Args:
        operands: What the operands were before they became fp32; None for torch's default kernels, bit for bit. Else
            a CPU may take oneDNN's: in fp32 where they are faster at that, and those from bfloat16 as bfloat16 with
            totals in fp32 where there is AMX: for operands that are such numbers still, whose products are exact.
    """
    narrow = operands == torch.bfloat16 and multiplies_bfloat16(torch.device("cpu"))
    onednn = operands is not None and (narrow or onednn_keeps_fp32())
    # One by one: torch refuses to read the setting for all where a user set a backend's own.
    gpu, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # untyped
    before = gpu.fp32_precision, cpu.fp32_precision
    try:
        gpu.fp32_precision, cpu.fp32_precision = "ieee", "bf16" if onednn else "ieee"
        yield
    finally:
        gpu.fp32_precision, cpu.fp32_precision = before
