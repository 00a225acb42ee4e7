"""Items per second of semprune's engine beside lm-evaluation-harness and beside the bare forward, in one run.

    pip install 'semprune[bench]'
    python benchmarks/evaluation.py                          # two minutes on one core: 2 items of each data set
    python benchmarks/evaluation.py --limit 100 --batch-size auto

The sides take turns on slices of the same items, so that a busy machine slows all of them; only the ratios say
something. The floor is what no scoring can beat without a smaller model: the different tokens of the requests through
the decoder blocks alone (``blocks``: no head, no padding, no masks), or with the logits that are read (``with
logits``). With one thread, seconds are the processor's own.

The harness's batch size is 16 unless told. Its ``auto`` tries 64 rows of the longest request five times before it
begins, which on a CPU takes longer than the small default run; pass ``--batch-size auto`` with a larger limit.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import semprune
from semprune.data import dataset_names, dataset_spec, load_items
from semprune.evaluation import predict_items
from semprune.types import Item

ROWS, WIDTH = 8, 128
"""Shape of the bare forwards: large enough for the matrices, short enough for attention."""


@dataclass
class Side:
    """What one side took, and what it answered."""

    seconds: float = 0.0
    right: list[bool] = field(default_factory=list)
    tokens: int = 0
    logits: int = 0


Clock = Callable[[], float]


def harness(lm: semprune.Backbone, batch_size: str) -> Callable[[list[Item]], list[bool]]:
    """Return lm_eval's scoring of items by its own Hugging Face model."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    instance = importlib.import_module("lm_eval.api.instance").Instance
    model = importlib.import_module("lm_eval.models.huggingface").HFLM(
        pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=batch_size
    )

    def score(items: list[Item]) -> list[bool]:
        requests = [instance("loglikelihood", {}, arguments, 0) for item in items for arguments in item.requests]
        found = iter(model.loglikelihood(requests, disable_tqdm=True))
        scores = [[next(found)[0] for _ in item.requests] for item in items]
        return [own.index(max(own)) == item.label for item, own in zip(items, scores, strict=True)]

    return score


def engine(lm: semprune.Backbone, side: Side) -> Callable[[list[Item]], list[bool]]:
    """Return our scoring of items."""

    def score(items: list[Item]) -> list[bool]:
        table = predict_items(lm, items)
        side.tokens += int(table.attrs["throughput"]["tokens"])
        side.logits += int(table.attrs["throughput"]["logits"])
        answers = table.set_index(["dataset", "item_id"])
        return [answers.loc[(i.dataset, i.item_id), "prediction"] == i.label for i in items]

    return score


@torch.inference_mode()
def bare_seconds(lm: semprune.Backbone, clock: Clock, tokens: int, logits: int) -> tuple[float, float]:
    """Seconds that so many tokens take in the decoder blocks alone, and so many logits in the head alone."""
    rows = torch.randint(0, lm.model.config.vocab_size, (ROWS, WIDTH))
    body: Any = lm.model.get_decoder()
    started = clock()
    hidden = body(input_ids=rows, use_cache=False).last_hidden_state
    between = clock()
    lm.model.get_output_embeddings()(hidden[:1])
    ended = clock()
    return (between - started) * tokens / rows.numel(), (ended - between) * logits / WIDTH


def timed(side: Side, score: Callable[[list[Item]], list[bool]], items: list[Item], clock: Clock) -> None:
    """Add a slice to a side."""
    started = clock()
    side.right.extend(score(items))
    side.seconds += clock() - started


def measure(dtype: str, items: list[Item], arguments: argparse.Namespace) -> dict[str, Side]:
    """Let the sides take turns over slices of the items."""
    lm = semprune.load_backbone(arguments.backbone, dtype=dtype)
    # one thread: the processor's own time, which others on the machine do not lengthen
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    sides = {name: Side() for name in ("lm_eval", "semprune", "blocks", "logits")}
    scorers = {"lm_eval": harness(lm, arguments.batch_size), "semprune": engine(lm, sides["semprune"])}
    bare_seconds(lm, clock, 1, 1)  # first calls prepare kernels
    for turn in range(arguments.turns):
        own = items[turn :: arguments.turns]
        before = sides["semprune"].tokens, sides["semprune"].logits
        for name in sorted(scorers, reverse=bool(turn % 2)):
            timed(sides[name], scorers[name], own, clock)
        tokens, logits = sides["semprune"].tokens - before[0], sides["semprune"].logits - before[1]
        for name, seconds in zip(("blocks", "logits"), bare_seconds(lm, clock, tokens, logits), strict=True):
            sides[name].seconds += seconds
    return sides


def interval(differences: np.ndarray) -> float:
    """Half of the 95 % interval of a mean of paired differences."""
    return float(1.96 * differences.std() / np.sqrt(len(differences)))


def main() -> None:
    """Measure both dtypes and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--limit", type=int, default=2, help="items of each data set")
    parser.add_argument("--turns", type=int, default=2, help="slices in which the sides take turns")
    parser.add_argument("--batch-size", default="16", help="the harness's: a number or auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--datasets", nargs="*", default=None, help="all of the reasoning family where none is named")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    known = [name for name in dataset_names() if dataset_spec(name).offline and not dataset_spec(name).non_commercial]
    family = arguments.datasets or [name for name in known if dataset_spec(name).family == "reasoning"]
    items = [item for name in family for item in load_items(name, limit=arguments.limit)]
    measured = {dtype: measure(dtype, items, arguments) for dtype in ("float32", "bfloat16")}
    show(measured, items, family)


def show(measured: dict[str, dict[str, Side]], items: list[Item], family: list[str]) -> None:
    """Print the ratios."""
    title = f"{len(items)} items of {', '.join(family)}: {sum(len(item.requests) for item in items)} requests"
    columns = ("dtype", "items/s", "/ lm_eval", "/ its float32", "blocks", "with logits", "tokens", "accuracy")
    table = Table(title=title)
    for column in columns:
        table.add_column(column, no_wrap=True)
    slowest = measured["float32"]["lm_eval"].seconds
    for dtype, sides in measured.items():
        ours, theirs = sides["semprune"], sides["lm_eval"]
        table.add_row(
            dtype,
            f"{len(items) / ours.seconds:.2f}",
            f"{theirs.seconds / ours.seconds:.1f} x",
            f"{slowest / ours.seconds:.1f} x",
            f"{ours.seconds / sides['blocks'].seconds:.2f}",
            f"{ours.seconds / (sides['blocks'].seconds + sides['logits'].seconds):.2f}",
            str(ours.tokens),
            f"{np.mean(ours.right):.3f} (lm_eval {np.mean(theirs.right):.3f})",
        )
    exact, half = (np.array(measured[dtype]["semprune"].right, dtype=float) for dtype in ("float32", "bfloat16"))
    console = Console(width=120)
    console.print(table)
    console.print(f"accuracy, bfloat16 - float32: {np.mean(half - exact):+.4f} ± {interval(half - exact):.4f}")


if __name__ == "__main__":
    main()
