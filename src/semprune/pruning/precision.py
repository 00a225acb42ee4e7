"""Full fp32 in matrix products, whatever the user allowed for the model's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_fp32() -> Iterator[None]:
    """No TF32 and no bf16 inside fp32 products; the user's setting comes back on leaving.

    Second moments and their inverse lose half their digits otherwise. Source: equations.md P4 (TF32 off).
    """
    # One by one: torch refuses to read the setting for all where a user set a backend's own.
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]  # untyped
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
