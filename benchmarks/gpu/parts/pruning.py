"""Wanda and RIA on all blocks over the two forwards that sequential statistics need."""

from __future__ import annotations

from functools import partial

import torch
from benchmarks.attribution_cost import peak_bytes
from benchmarks.gpu.models import random_ids
from benchmarks.gpu.record import Record, Row
from benchmarks.gpu.settings import Sizes
from benchmarks.gpu.timing import Spread, seconds
from benchmarks.gpu.top_kernels import top_kernels
from benchmarks.pruning import forward_blocks
from benchmarks.pruning_7b import block_weights, build, peak_flops, redraw, sparsity
from transformers import LlamaForCausalLM

from semprune.pruning import prune_model

FLOOR = "two forwards"
PROFILED = 2  # sequences under the profiler


def run(record: Record, sizes: Sizes, device: torch.device) -> None:
    """Take down both methods, then what they spend their time in on a few blocks."""
    compare(record, sizes, device, ("wanda", "ria"), sizes.large_blocks)
    few = build(sizes.large, 1, device)
    for method in ("wanda", "ria"):
        profile(record, few, sizes, device, method)


def compare(record: Record, sizes: Sizes, device: torch.device, methods: tuple[str, ...], blocks: int) -> None:
    """Take down methods on a model of so many blocks, once each: a run of a large model repeats its blocks."""
    torch.manual_seed(0)
    model = build(sizes.large, blocks, device)
    ids = random_ids(sizes.sequences, sizes.length, sizes.large["vocab_size"], device)
    peak = peak_flops(device, sizes.product)
    work = 2 * block_weights(model) * ids.numel() * (2 * blocks - 1) / blocks
    forward_blocks(model, ids[: sizes.batch], 1, sizes.batch)  # kernels are loaded
    floor = seconds(lambda: forward_blocks(model, ids, 2, sizes.batch), device)
    record.add(Row(f"{FLOOR}, {blocks} blocks", Spread.of([floor]), peak_share=work / floor / peak))
    for method in methods:
        redraw(model)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        prune = partial(prune_model, model, ids, method=method, sparsity=0.5, batch_size=sizes.batch)
        found = seconds(prune, device)
        over, memory = Spread.of([found / floor]), peak_bytes(device) / 2**30
        record.add(
            Row(f"{method}, {blocks} blocks", Spread.of([found]), over, FLOOR, work / found / peak, memory,
                f"sparsity {sparsity(model):.4f}")
        )  # fmt: skip


def profile(record: Record, model: LlamaForCausalLM, sizes: Sizes, device: torch.device, method: str) -> None:
    """Take down the kernels of a method on a model of few blocks and few sequences."""
    ids = random_ids(min(PROFILED, sizes.sequences), sizes.length, sizes.large["vocab_size"], device)
    redraw(model)
    prune = partial(prune_model, model, ids, method=method, sparsity=0.5, batch_size=sizes.batch)
    record.add_kernels(f"{method}, one block, {ids.shape[0]} sequences", top_kernels(prune, device))
