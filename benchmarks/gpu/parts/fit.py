"""The fit's two passes over the bare forward of the frozen body."""

from __future__ import annotations

from functools import partial

import torch
from benchmarks.attribution_cost import TypeLabels, accumulate, add_variances, batches_of, forward, peak_bytes, prepared
from benchmarks.gpu.models import random_ids, small_backbone
from benchmarks.gpu.record import Record, Row
from benchmarks.gpu.settings import Sizes
from benchmarks.gpu.timing import Spread, in_turn
from benchmarks.gpu.top_kernels import top_kernels

FLOOR = "bare forward"


def run(record: Record, sizes: Sizes, device: torch.device) -> None:
    """Take down both passes in both number formats, then what they spend their time in."""
    for dtype in (torch.bfloat16, torch.float32):
        measure(record, sizes, device, dtype)


def measure(record: Record, sizes: Sizes, device: torch.device, dtype: torch.dtype) -> None:
    """Take down one number format; the forward takes turns with each pass."""
    lm = small_backbone(sizes, device, dtype)
    ids = random_ids(sizes.documents, sizes.document_tokens, sizes.small["vocab_size"], device)
    batches, labels = batches_of(ids, sizes.document_batch), TypeLabels(ids, sizes.small["vocab_size"], sizes.concepts)
    learner = prepared(lm, batches, labels, sizes.concepts)
    name = str(dtype).removeprefix("torch.")
    bare, sums = partial(forward, lm, batches), partial(accumulate, learner, lm, batches, labels)
    variances = partial(add_variances, learner, lm, batches, labels)
    for what, call in (("sums", sums), ("variances", variances)):
        if what == "variances":
            learner.finish_sums()  # in between: the variances are of what the sums gave
        found = in_turn({FLOOR: bare, what: call}, device, sizes.repeats)
        if what == "sums":
            rate = ids.numel() / Spread.of(found[FLOOR]).median
            record.add(Row(f"{FLOOR}, {name}", Spread.of(found[FLOOR]), note=f"{rate:,.0f} tokens/s"))
        over, memory = Spread.of_ratios(found[what], found[FLOOR]), peak_bytes(device) / 2**30
        record.add(Row(f"pass of the {what}, {name}", Spread.of(found[what]), over, FLOOR, memory_gib=memory))
    for what, one in (
        (FLOOR, partial(forward, lm, batches[:1])),
        ("sums", partial(accumulate, learner, lm, batches[:1], labels)),
        ("variances", partial(add_variances, learner, lm, batches[:1], labels)),
    ):
        record.add_kernels(f"{what}, {name}, one batch", top_kernels(one, device))
