"""A step of the learned gates over the bare forward of its tokens."""

from __future__ import annotations

from functools import partial

import torch
from benchmarks.attribution_cost import peak_bytes
from benchmarks.gpu.models import random_ids, small_backbone
from benchmarks.gpu.record import Record, Row
from benchmarks.gpu.settings import Sizes
from benchmarks.gpu.timing import Spread, in_turn
from benchmarks.gpu.top_kernels import top_kernels

from semprune.attribution.gates.collateral import DenseTexts, dense_texts
from semprune.attribution.gates.learner import GateLearner
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.tasks import ClassTask
from semprune.backbones import Backbone
from semprune.types import Item

FLOOR = "bare forward"
ENDINGS = ("<s>", "<s> <s>")
WINDOWS, WINDOW = 8, 64


def run(record: Record, sizes: Sizes, device: torch.device) -> None:
    """Take down both number formats, then what a step spends its time in."""
    for dtype in (torch.bfloat16, torch.float32):
        measure(record, sizes, device, dtype)


def measure(record: Record, sizes: Sizes, device: torch.device, dtype: torch.dtype) -> None:
    """Take down one number format; steps and forwards of the same tokens take turns."""
    lm = small_backbone(sizes, device, dtype)
    learner, ids = prepared(lm, sizes, device)
    name = str(dtype).removeprefix("torch.")
    found = in_turn({FLOOR: partial(forward, lm, ids), "step": learner.step}, device, sizes.repeats)
    over, memory = Spread.of_ratios(found["step"], found[FLOOR]), peak_bytes(device) / 2**30
    tokens = f"{sum(each.numel() for each in ids):,} tokens"
    record.add(Row(f"a step, {name}", Spread.of(found["step"]), over, FLOOR, memory_gib=memory, note=tokens))
    record.add_kernels(f"a step, {name}", top_kernels(learner.step, device))


def prepared(lm: Backbone, sizes: Sizes, device: torch.device) -> tuple[GateLearner, list[torch.Tensor]]:
    """Make a learner of one concept, and what a step of it reads: each ending of each item, and the windows."""
    settings = GateSettings(items=min(24, sizes.documents), windows=WINDOWS)
    context = max(4, sizes.document_tokens - len(ENDINGS))
    items = [
        Item(
            "random",
            str(place),
            str(place),
            tuple((" ".join(["<s>"] * length), f" {e}") for e in ENDINGS),
            place % 2,
            "",
        )
        for place in range(max(16, settings.items))
        for length in [max(2, context - place)]  # of equal texts there is no order
    ]
    task = ClassTask(lm, "random", items, 0)
    vocabulary, neurons = sizes.small["vocab_size"], sum(site.width for site in lm.sites)
    windows = random_ids(WINDOWS, WINDOW, vocabulary, device)
    mean = torch.zeros(neurons)
    dense: DenseTexts = dense_texts(lm, lm.sites, [windows], mean, WINDOWS)
    start = torch.rand(1, neurons, generator=torch.Generator().manual_seed(0))
    learner = GateLearner(lm, lm.sites, {"random": task}, dense, mean, start, max(1, neurons // 100), settings)
    read = task.batch(task.draw(0, settings.items, [0]))
    return learner, [read.input_ids.to(device), windows]


@torch.inference_mode()
def forward(lm: Backbone, ids: list[torch.Tensor]) -> None:
    """Read the same tokens with the frozen body alone."""
    for each in ids:
        lm.model.model(each)
