"""What pruning costs over the bare forwards that it cannot do without, and what one dense pass for many saves.

The floor of sequential statistics is two forwards of every block, but one of the last, whose outputs nobody needs; that
of dense statistics one forward. Sides are interleaved and each ratio is that of medians; the range over the repeats
stands beside it. By default CPU time counts, which a busy machine disturbs least.

    python benchmarks/pruning.py --dtypes float32 bfloat16 --sequences 64 --length 512 --blocks 4

``--blocks`` keeps only the first blocks of the model: all blocks have one shape, and a ratio needs no more of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from semprune import load_backbone, prune_model
from semprune.backbones.backbone import Backbone
from semprune.backbones.blocks.runner import BlockRunner, calibrating
from semprune.backbones.hardware import fast_fp32
from semprune.backbones.layout import decoder_layers, family_of
from semprune.data import CalibrationDataModule
from semprune.pruning import dense_statistics, prune_from
from semprune.pruning.weights.linear import WeightCopy

METHODS = ("wanda", "ria", "sparsegpt")
MANY = "4 methods x 3 sparsities"
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}


@fast_fp32()  # as in every command
def main() -> None:
    """Time everything in each number format and print ratios."""
    asked = arguments()
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    for dtype in asked.dtypes:
        lm = load_backbone(asked.backbone, dtype=dtype, device=asked.device)
        data = CalibrationDataModule("c4", asked.sequences, asked.length).bind(lm)
        blocks = cut(lm.model, asked.blocks)
        print(
            f"{asked.backbone}, {blocks} blocks, {dtype}, {asked.device}, {torch.get_num_threads()} threads, "
            f"{asked.sequences} x {asked.length} tokens of c4, {asked.clock} time",
            flush=True,
        )
        measured = measure(lm, data.calibration_input_ids(), asked)
        show("one forward", measured, None)
        for method in METHODS:
            show(method, measured, "two forwards")
        show(MANY, measured, "sparsegpt")


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--blocks", type=int, help="only the first blocks of the model; all where left out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="torch's own choice where left out")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="cpu", help="wall on a GPU")
    return parser.parse_args()


def cut(model: torch.nn.Module, blocks: int | None) -> int:
    """Drop all but the first blocks; return how many are left."""
    layers = decoder_layers(model, family_of(model))
    if blocks is not None:
        del layers[blocks:]
        model.config.num_hidden_layers = blocks
    return len(layers)


def measure(lm: Backbone, ids: torch.Tensor, asked: argparse.Namespace) -> dict[str, list[float]]:
    """Return the seconds of each side in each repeat."""
    size, dense = asked.batch_size, WeightCopy(lm.model)

    def sequential(method: str) -> Callable[[], object]:
        return lambda: prune_model(lm.model, ids, method=method, sparsity=0.5, batch_size=size)

    def many() -> None:
        collected = dense_statistics(lm.model, ids, methods=METHODS, batch_size=size)
        for method in ("magnitude", *METHODS):
            for sparsity in (0.3, 0.5, 0.7):
                prune_from(lm.model, collected, method=method, sparsity=sparsity)
                dense.write_back()

    sides: dict[str, Callable[[], object]] = {"one forward": lambda: forward_blocks(lm.model, ids, 1, size)}
    sides["two forwards"] = lambda: forward_blocks(lm.model, ids, 2, size)
    sides |= {method: sequential(method) for method in METHODS} | {MANY: many}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    clock = CLOCKS[asked.clock]
    for _ in range(asked.repeats):
        for name, run in sides.items():
            start = clock()
            run()
            if asked.device != "cpu":
                torch.cuda.synchronize()
            seconds[name].append(clock() - start)
            dense.write_back()
    return seconds


def forward_blocks(model: torch.nn.Module, ids: torch.Tensor, times: int, batch_size: int) -> None:
    """Run every block ``times`` over the calibration, as sequential (2) or dense (1) statistics must; the last once."""
    with calibrating(model):
        blocks = decoder_layers(model, family_of(model))
        runner = BlockRunner(model, blocks, ids.to(next(model.parameters()).device), batch_size=batch_size)
        for index in range(len(blocks)):
            last = index + 1 == len(blocks)
            for _ in range(0 if last else times - 1):
                runner.run(index, advance=False)
            runner.run(index, advance=not last)


def show(name: str, seconds: dict[str, list[float]], floor: str | None) -> None:
    """Print one side: seconds, and its ratio to another side of the same run."""
    own = seconds[name]
    line = f"{name:26} {statistics.median(own):7.2f} s"
    if floor is not None:
        pairs = [mine / base for mine, base in zip(own, seconds[floor], strict=True)]
        ratio = statistics.median(own) / statistics.median(seconds[floor])
        line += f"   {ratio:.2f} x {floor} ({min(pairs):.2f} to {max(pairs):.2f})"
    print(line, flush=True)


if __name__ == "__main__":
    main()
