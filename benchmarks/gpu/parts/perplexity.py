"""Perplexity over the bare forward with all logits."""

from __future__ import annotations

import torch
from benchmarks.gpu.models import random_ids, small_backbone
from benchmarks.gpu.record import Record, Row
from benchmarks.gpu.settings import Sizes
from benchmarks.gpu.timing import Spread, in_turn
from benchmarks.gpu.top_kernels import top_kernels

from semprune.evaluation.perplexity import perplexity

FLOOR = "forward with logits"


def run(record: Record, sizes: Sizes, device: torch.device) -> None:
    """Take down a text's perplexity; the forward makes the logits of each position and reads none."""
    lm = small_backbone(sizes, device, torch.bfloat16)
    ids = random_ids(sizes.text, sizes.text_length, sizes.small["vocab_size"], device)

    @torch.inference_mode()
    def forward() -> None:
        for batch in ids.split(sizes.batch):
            lm.model(input_ids=batch, use_cache=False)

    def whole() -> None:
        perplexity(lm.model, ids, sizes.batch)

    found = in_turn({FLOOR: forward, "perplexity": whole}, device, sizes.repeats)
    over = Spread.of_ratios(found["perplexity"], found[FLOOR])
    record.add(Row("perplexity, bfloat16", Spread.of(found["perplexity"]), over, FLOOR, note=f"{ids.numel():,} tokens"))
    one = ids[: sizes.batch]
    record.add_kernels("perplexity, one batch", top_kernels(lambda: perplexity(lm.model, one, sizes.batch), device))
