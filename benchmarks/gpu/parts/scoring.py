"""Items scored by the engine, over the same tokens in the bare body and the same logits in the bare head."""

from __future__ import annotations

import time

import torch
from benchmarks.evaluation import WIDTH, bare_seconds
from benchmarks.gpu.models import random_ids, small_backbone
from benchmarks.gpu.record import Record, Row
from benchmarks.gpu.settings import Sizes
from benchmarks.gpu.timing import Spread, synchronize
from benchmarks.gpu.top_kernels import top_kernels

from semprune.data.batches.encoding import EncodedRequest
from semprune.evaluation.engine.request_scorer import Engine

ENDINGS, ENDING = 4, 6  # endings of an item, tokens of each
FLOOR = "bare body and head"


def run(record: Record, sizes: Sizes, device: torch.device) -> None:
    """Take down the seconds of scoring; items share their beginning, which the engine computes once."""
    lm = small_backbone(sizes, device, torch.bfloat16)
    asked = requests(sizes)
    found: list[float] = []
    floors: list[float] = []
    for turn in range(sizes.repeats + 1):
        engine = Engine(lm.model, padding=0)
        started = time.perf_counter()
        list(engine.score(asked))
        synchronize(device)
        own = time.perf_counter() - started
        done = engine.throughput
        rows = max(1, min(done.tokens, done.token_budget) // WIDTH)  # as many tokens as a batch of the engine
        bare = sum(bare_seconds(lm, lambda: _now(device), done.tokens, done.logits, rows))
        if turn:  # the first warms up
            found.append(own)
            floors.append(bare)
    over, note = Spread.of_ratios(found, floors), f"{len(asked)} requests, {done.tokens:,} tokens computed"
    record.add(Row("scoring, bfloat16", Spread.of(found), over, FLOOR, note=note))
    few = asked[: len(asked) // 4 or 1]
    record.add_kernels("a quarter of the items", top_kernels(lambda: list(Engine(lm.model, 0).score(few)), device))


def requests(sizes: Sizes) -> list[EncodedRequest]:
    """Draw items: contexts of different lengths, each with its endings."""
    vocabulary, longest = sizes.small["vocab_size"], max(4, sizes.document_tokens - ENDING)
    drawn = random_ids(sizes.items, longest + ENDINGS * ENDING, vocabulary, torch.device("cpu"))
    found = []
    for index, row in enumerate(drawn.tolist()):
        context = row[: longest // 2 + index % (longest // 2)]
        for ending in range(ENDINGS):
            targets = row[longest + ending * ENDING :][:ENDING]
            found.append(EncodedRequest((*context, *targets[:-1]), tuple(targets), len(context) - 1))
    return found


def _now(device: torch.device) -> float:
    synchronize(device)
    return time.perf_counter()
