"""The parts of a run: one file each, with a ``run`` that takes down figures as they come."""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.gpu.parts import fit, gates, peak, perplexity, pruning, scoring, sparsegpt
from benchmarks.gpu.record import Record
from benchmarks.gpu.settings import Sizes

Part = Callable[[Record, Sizes, torch.device], None]

PARTS: dict[str, Part] = {
    "peak": peak.run,
    "fit": fit.run,
    "gates": gates.run,
    "pruning": pruning.run,
    "sparsegpt": sparsegpt.run,
    "scoring": scoring.run,
    "perplexity": perplexity.run,
}
"""All but ``checks``, which are pytest's."""
