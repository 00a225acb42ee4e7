"""Perplexity of pruned models on text that nothing was calibrated on: methods × amounts × calibration seeds.

Prints a Markdown table: mean over the seeds, its 95 % bootstrap interval over sequences (the seeds' losses are averaged
per sequence first), each seed's value, and the ratio to Wanda's perplexity on the same sequences. Each pruning is also
appended to --output, where a killed run goes on.

    python benchmarks/perplexity.py --amounts 0.3 0.5 0.7 2:4 --methods wanda ria ria:exponent=1 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from semprune import load_backbone, prune_model
from semprune.backbones import Backbone
from semprune.data import CalibrationDataModule
from semprune.evaluation import perplexity
from semprune.evaluation.perplexity import perplexity_of
from semprune.io.files import write_json
from semprune.pruning.weights.linear import WeightCopy
from semprune.statistics.bootstrap import bootstrap, percentile_interval
from semprune.statistics.intervals import Interval

REFERENCE = "wanda"


def main() -> None:
    """Prune, measure, put the dense weights back; then the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument(
        "--methods", nargs="+", default=["sparsegpt", "ria", "wanda", "magnitude"], help="NAME or NAME:OPTION=NUMBER"
    )
    parser.add_argument("--amounts", nargs="+", default=["0.5"], help="sparsities and N:M patterns")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--calibration", default="c4")
    parser.add_argument("--sequences", type=int, default=32)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--text", default="wiki")
    parser.add_argument("--text-sequences", type=int, default=32)
    parser.add_argument("--output", type=Path, default=Path("runs/perplexity.json"))
    asked = parser.parse_args()
    lm = load_backbone(asked.backbone, dtype=asked.dtype)
    text, dense = sequences(lm, asked.text, asked.text_sequences, asked.length, 0), WeightCopy(lm.model)
    common = [asked.calibration, asked.sequences, asked.length, asked.text, asked.text_sequences, str(lm.fingerprint)]
    losses: dict[str, list[float]] = json.loads(asked.output.read_text()) if asked.output.is_file() else {}
    wanted = [("dense", "0", 0)]
    for amount in asked.amounts:
        for method in asked.methods:
            wanted += [(method, amount, seed) for seed in (asked.seeds if method != "magnitude" else asked.seeds[:1])]
    for method, amount, seed in wanted:
        key = json.dumps([method, amount, seed, asked.dtype, *common])
        if key not in losses:
            if method != "dense":
                how: dict[str, Any] = {"pattern": amount} if ":" in amount else {"sparsity": float(amount)}
                name, _, option = method.partition(":")
                if option:
                    how[option.partition("=")[0]] = float(option.partition("=")[2])
                drawn = sequences(lm, asked.calibration, asked.sequences, asked.length, seed)
                prune_model(lm.model, drawn, method=name, **how)
            losses[key] = perplexity(lm.model, text)[1].tolist()
            dense.write_back()
            write_json(asked.output, losses)
            print(f"  {method} {amount} seed {seed}: {torch.tensor(losses[key]).mean().exp():.1f}", flush=True)
    show(wanted, losses, [asked.dtype, *common])


def sequences(lm: Backbone, name: str, count: int, length: int, seed: int) -> torch.Tensor:
    """Token ids of a calibration set."""
    return CalibrationDataModule(name, count, length, seed).bind(lm).calibration_input_ids()


def show(wanted: list[tuple[str, str, int]], losses: dict[str, list[float]], common: list[object]) -> None:
    """Print one row per method and amount."""
    rows: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for method, amount, seed in wanted:
        rows[amount, method].append(losses[json.dumps([method, amount, seed, *common])])
    print("| amount | method | perplexity | 95 % interval | seeds | over Wanda, paired |\n|---|---|--:|---|---|---|")
    for (amount, method), each in rows.items():
        together = torch.tensor(each, dtype=torch.float64)
        interval = perplexity_interval(together.mean(0))
        seeds = ", ".join(f"{value:.1f}" for value in sorted(together.mean(1).exp().tolist()))
        value = float(together.mean().exp())
        row = f"| {amount} | {method} | {value:.1f} | {interval.low:.1f} to {interval.high:.1f} | {seeds} |"
        print(f"{row} {over(together, rows.get((amount, REFERENCE)), method)} |")


def over(losses: torch.Tensor, reference: list[list[float]] | None, method: str) -> str:
    """Ratio of perplexities to the reference's, with its interval over sequences; empty for itself."""
    if reference is None or method == REFERENCE:
        return ""
    difference = losses.mean(0) - torch.tensor(reference, dtype=torch.float64).mean(0)
    interval = perplexity_interval(difference)  # exp of a mean difference is a ratio
    return f"{float(difference.mean().exp()):.3f} ({interval.low:.3f} to {interval.high:.3f})"


def perplexity_interval(
    nll: Float[Tensor, " sequences"],
    *,
    documents: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of the perplexity over sequences.

    Args:
        nll: Mean NLL of each sequence, in nats.
        documents: Document of each sequence where several come from one; None draws sequences.
        resamples: Number of resamples.
        seed: Seed of the draws.
        level: Coverage aimed at.

    Returns:
        The interval.
    """
    values = nll.double().cpu().numpy()
    units = documents or [str(index) for index in range(len(values))]
    draws = bootstrap(lambda weights: perplexity_of(values, weights), units, resamples=resamples, seed=seed)
    return percentile_interval(draws, level)


if __name__ == "__main__":
    main()
