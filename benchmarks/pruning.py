"""What pruning costs over the bare forwards that it cannot do without, and what one dense pass for many saves.

The floor of sequential statistics is two forwards of every block, that of dense statistics one. Sides are interleaved
and each ratio is that of medians; the range over the repeats stands beside it.

    python benchmarks/pruning.py --dtype bfloat16
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from semprune import load_backbone, prune_model
from semprune.backbones.blocks import BlockRunner, calibrating
from semprune.backbones.layout import decoder_layers, family_of
from semprune.data import CalibrationDataModule
from semprune.pruning import dense_statistics, prune_from
from semprune.pruning.linear import WeightCopy

METHODS = ("wanda", "ria", "sparsegpt")


def main() -> None:
    """Time everything on SmolLM2 and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    lm = load_backbone(asked.backbone, dtype=asked.dtype, device=asked.device)
    data = CalibrationDataModule("c4", asked.sequences, asked.length)
    data.tokenizer, data.context_length = lm.tokenizer, lm.max_length
    ids = data.calibration_input_ids()
    dense = WeightCopy(lm.model)

    def sequential(method: str) -> Callable[[], object]:
        return lambda: prune_model(lm.model, ids, method=method, sparsity=0.5)

    def many() -> None:
        collected = dense_statistics(lm.model, ids, methods=METHODS)
        for method in ("magnitude", *METHODS):
            for sparsity in (0.3, 0.5, 0.7):
                prune_from(lm.model, collected, method=method, sparsity=sparsity)
                dense.write_back()

    sides: dict[str, Callable[[], object]] = {"one forward": lambda: forward_blocks(lm.model, ids, 1)}
    sides["two forwards"] = lambda: forward_blocks(lm.model, ids, 2)
    sides |= {method: sequential(method) for method in METHODS}
    sides["4 methods x 3 sparsities"] = many
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(asked.repeats):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
            dense.write_back()
    tokens = asked.sequences * asked.length
    print(
        f"{asked.backbone}, {asked.dtype}, {asked.device}, {torch.get_num_threads()} threads, {tokens:,} tokens of c4"
    )
    show("one forward", seconds, None, tokens)
    for method in METHODS:
        show(method, seconds, "two forwards", tokens)
    show("4 methods x 3 sparsities", seconds, "sparsegpt", tokens)


def forward_blocks(model: torch.nn.Module, ids: torch.Tensor, times: int) -> None:
    """Run every block ``times`` over the calibration, as sequential (2) or dense (1) statistics must."""
    with calibrating(model):
        blocks = decoder_layers(model, family_of(model))
        runner = BlockRunner(model, blocks, ids.to(next(model.parameters()).device), batch_size=8)
        for index in range(len(blocks)):
            for _ in range(times - 1):
                runner.run(index, advance=False)
            runner.run(index, advance=True)


def show(name: str, seconds: dict[str, list[float]], floor: str | None, tokens: int) -> None:
    """Print one side: seconds, tokens/s, and its ratio to another side of the same run."""
    own = seconds[name]
    middle = statistics.median(own)
    line = f"{name:26} {middle:7.1f} s  {tokens / middle:8,.0f} tokens/s"
    if floor is not None:
        pairs = [mine / base for mine, base in zip(own, seconds[floor], strict=True)]
        ratio = middle / statistics.median(seconds[floor])
        line += f"   {ratio:.2f} x {floor} ({min(pairs):.2f} to {max(pairs):.2f})"
    print(line)


if __name__ == "__main__":
    main()
