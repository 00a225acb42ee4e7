"""Pruning a model of 7B shape on a GPU: seconds of each method, share of the card's measured peak, worth of 2:4.

The weights are random, so only time and sparsity mean anything. The floor is the two forwards of every block that
sequential statistics need. The peak is that of an 8192 × 8192 × 8192 product in bfloat16, measured in the same run; the
share counts the forwards' matrix products alone. At last the blocks' matrices, pruned 2:4, are run as torch's
semi-structured tensors beside dense ones.

    python -m benchmarks.pruning_7b                       # all 32 blocks: 13 GB of weights
    python -m benchmarks.pruning_7b --blocks 4 --sequences 16
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from benchmarks.gpu.timing import seconds
from benchmarks.pruning import forward_blocks
from torch import Tensor, nn
from torch.sparse import to_sparse_semi_structured
from transformers import LlamaConfig, LlamaForCausalLM

from semprune.pruning import prune_model

METHODS = ("magnitude", "wanda", "ria", "sparsegpt")
SHAPE = {"hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32, "vocab_size": 32000}


def main() -> None:
    """Time every method, then 2:4."""
    asked = arguments()
    device = torch.device(asked.device)
    model = build(SHAPE, asked.blocks, device)
    ids = torch.randint(SHAPE["vocab_size"], (asked.sequences, asked.length), device=asked.device)
    peak = peak_flops(device)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {asked.blocks} blocks of Llama-7B's shape in "
          f"bfloat16, {asked.sequences} x {asked.length} tokens; measured peak {peak / 1e12:.0f} TFLOP/s")  # fmt: skip
    work = 2 * block_weights(model) * ids.numel() * (2 * asked.blocks - 1) / asked.blocks
    forward_blocks(model, ids, 1, asked.batch_size)  # warm
    floor = seconds(lambda: forward_blocks(model, ids, 2, asked.batch_size), device)
    report("two forwards", floor, floor, work / peak)
    for method in asked.methods:
        redraw(model)
        torch.cuda.reset_peak_memory_stats()
        prune = partial(prune_model, model, ids, method=method, sparsity=0.5, batch_size=asked.batch_size)
        found = seconds(prune, device)
        report(method, found, floor, None if method == "magnitude" else work / peak)
        print(f"{'':14} sparsity {sparsity(model):.6f}, {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of memory")
    redraw(model)
    prune_model(model, ids[:1], method="magnitude", pattern="2:4", batch_size=1)
    compare_two_of_four(model, ids, asked)


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--blocks", type=int, default=32)
    parser.add_argument("--sequences", type=int, default=32)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--repeats", type=int, default=10, help="of each product and forward beside 2:4")
    return parser.parse_args()


def build(
    shape: Mapping[str, int], blocks: int, device: torch.device, dtype: torch.dtype = torch.bfloat16
) -> LlamaForCausalLM:
    """Make the model where it is used, with random weights."""
    config = LlamaConfig(**shape, num_hidden_layers=blocks, dtype=dtype, max_position_embeddings=4096)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            return LlamaForCausalLM(config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def matrices(model: LlamaForCausalLM) -> list[nn.Linear]:
    """What is pruned."""
    return [module for module in model.model.layers.modules() if isinstance(module, nn.Linear)]


def block_weights(model: LlamaForCausalLM) -> int:
    """Number of weights of all blocks' matrices."""
    return sum(module.weight.numel() for module in matrices(model))


def redraw(model: LlamaForCausalLM) -> None:
    """Draw the weights afresh: a pruned matrix says nothing of how the next method does."""
    for module in matrices(model):
        module.weight.normal_(0, 0.02)


def sparsity(model: LlamaForCausalLM) -> float:
    """Share of weights that are 0."""
    return sum(int((module.weight == 0).sum()) for module in matrices(model)) / block_weights(model)


def median_seconds(run: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median of several calls after one to warm up."""
    run()
    return statistics.median(seconds(run, device) for _ in range(repeats))


def peak_flops(device: torch.device, size: int = 8192) -> float:
    """What the device reaches on a large product of random bfloat16 matrices."""
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / median_seconds(lambda: one @ other, 20, device)


def report(name: str, found: float, floor: float, ideal: float | None) -> None:
    """One line: seconds, ratio to the floor, share of the peak."""
    share = "" if ideal is None else f", {ideal / found:.0%} of the measured peak"
    print(f"{name:14} {found:7.2f} s, {found / floor:.2f} x two forwards{share}", flush=True)


def compare_two_of_four(model: LlamaForCausalLM, ids: Tensor, asked: argparse.Namespace) -> None:
    """Products of each shape, then the body's forward, with the same 2:4 weights dense and semi-structured."""
    tokens = asked.batch_size * asked.length
    print("| matrix | tokens | dense ms | 2:4 ms | speed-up |\n|---|--:|--:|--:|--:|")
    shapes = {tuple(module.weight.shape): module.weight for module in matrices(model)}
    for rows in (16, tokens, 4 * tokens):
        for shape, weight in shapes.items():
            x = torch.randn(rows, shape[1], device=weight.device, dtype=weight.dtype)
            show(
                f"{shape[0]} x {shape[1]}", rows, products(x, weight, to_sparse_semi_structured(weight), asked.repeats)
            )
    batch = ids[: asked.batch_size]
    body = model.model

    def forward() -> None:
        body(input_ids=batch, use_cache=False)

    with torch.no_grad():
        dense = median_seconds(forward, asked.repeats, ids.device)
        for module in matrices(model):
            module.weight = nn.Parameter(to_sparse_semi_structured(module.weight.data), requires_grad=False)
        show("forward of the blocks", tokens, (dense, median_seconds(forward, asked.repeats, ids.device)))


def products(x: Tensor, dense: Tensor, sparse: Tensor, repeats: int) -> tuple[float, float]:
    """Seconds of ``x @ weight.T`` with both."""
    linear = nn.functional.linear
    with torch.no_grad():
        both = [median_seconds(partial(linear, x, weight), repeats, x.device) for weight in (dense, sparse)]
    return both[0], both[1]


def show(name: str, tokens: int, both: Sequence[float]) -> None:
    """One row of the table."""
    dense, sparse = both
    print(f"| {name} | {tokens} | {dense * 1e3:.3f} | {sparse * 1e3:.3f} | {dense / sparse:.2f} |", flush=True)


if __name__ == "__main__":
    main()
