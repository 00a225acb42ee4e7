"""Items per second of semprune's engine beside lm-evaluation-harness and beside the bare forward, in one run.

    pip install 'semprune[bench]'
    python benchmarks/evaluation.py                          # two minutes on one core: 2 items of each data set
    python benchmarks/evaluation.py --limit 20 --batch-sizes 16 auto

The sides take turns on slices of the same items, so that a busy machine slows all of them; only the ratios say
something. The floor is what no scoring can beat without a smaller model: the different tokens of the requests through
the decoder blocks alone (``blocks``: no head, no padding, no masks), or with the logits that are read (``with
logits``). With one thread, seconds are the processor's own.

The harness runs once with each of ``--batch-sizes``, and ratios are to the fastest of these. ``auto`` is its own
automatic size: before it begins it reads 64 rows of the longest request five times (as often again wherever memory
runs out), which on a CPU takes minutes. It searches once here, and that time is told apart and not held against it.

bfloat16 is compared with float32 item by item: log-likelihoods, answers and accuracy.
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
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

import semprune
from semprune.backbones.hardware import fast_fp32
from semprune.data import dataset_names, dataset_spec, load_items
from semprune.evaluation import compare_scores, predict_items
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
    search: float = 0.0  # seconds, not among the others, in which the harness looked for its batch size
    tables: list[pd.DataFrame] = field(default_factory=list)


Clock = Callable[[], float]

HARNESS = "lm_eval, batch size"


def harness(lm: semprune.Backbone, batch_size: str, side: Side, clock: Clock) -> Callable[[list[Item]], list[bool]]:
    """Return lm_eval's scoring of items by its own Hugging Face model."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    instance = importlib.import_module("lm_eval.api.instance").Instance
    model = importlib.import_module("lm_eval.models.huggingface").HFLM(
        pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=batch_size
    )
    detect, found_sizes = model._detect_batch_size, []

    def searched(*arguments: Any) -> int:
        started = clock()
        if not found_sizes:  # later turns are later requests of the same run
            found_sizes.append(detect(*arguments))
        side.search += clock() - started
        return found_sizes[0]

    model._detect_batch_size = searched

    def score(items: list[Item]) -> list[bool]:
        requests = [instance("loglikelihood", {}, arguments, 0) for item in items for arguments in item.requests]
        found = iter(model.loglikelihood(requests, disable_tqdm=True))
        scores = [[next(found)[0] for _ in item.requests] for item in items]
        return [own.index(max(own)) == item.label for item, own in zip(items, scores, strict=True)]

    return score


def engine(lm: semprune.Backbone, side: Side) -> Callable[[list[Item]], list[bool]]:
    """Return our scoring of items."""

    @fast_fp32()  # as in every command; the harness keeps torch's defaults
    def score(items: list[Item]) -> list[bool]:
        table = predict_items(lm, items)
        side.tokens += int(table.attrs["throughput"]["tokens"])
        side.logits += int(table.attrs["throughput"]["logits"])
        side.tables.append(table)
        answers = table.set_index(["dataset", "item_id"])
        return [answers.loc[(i.dataset, i.item_id), "prediction"] == i.label for i in items]

    return score


@fast_fp32()
@torch.inference_mode()
def bare_seconds(
    lm: semprune.Backbone, clock: Clock, tokens: int, logits: int, height: int = ROWS
) -> tuple[float, float]:
    """Seconds that so many tokens take in the decoder blocks alone, and so many logits in the head alone."""
    rows = torch.randint(0, lm.model.config.vocab_size, (height, WIDTH), device=lm.device)
    body: Any = lm.model.get_decoder()
    started = clock()
    hidden = body(input_ids=rows, use_cache=False).last_hidden_state
    between = clock()
    lm.model.get_output_embeddings()(hidden[:1])
    ended = clock()
    return (between - started) * tokens / rows.numel(), (ended - between) * logits / WIDTH


def timed(side: Side, score: Callable[[list[Item]], list[bool]], items: list[Item], clock: Clock) -> None:
    """Add a slice to a side."""
    started, searched = clock(), side.search
    side.right.extend(score(items))
    side.seconds += clock() - started - (side.search - searched)


def measure(dtype: str, items: list[Item], arguments: argparse.Namespace) -> dict[str, Side]:
    """Let the sides take turns over slices of the items."""
    lm = semprune.load_backbone(arguments.backbone, dtype=dtype)
    # one thread: the processor's own time, which others on the machine do not lengthen
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    sides = {name: Side() for name in ("semprune", "blocks", "logits")}
    scorers = {"semprune": engine(lm, sides["semprune"])}
    for size in arguments.batch_sizes:
        name = f"{HARNESS} {size}"
        sides[name] = Side()
        scorers[name] = harness(lm, size, sides[name], clock)
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


def main() -> None:
    """Measure both dtypes and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--limit", type=int, default=2, help="items of each data set")
    parser.add_argument("--turns", type=int, default=2, help="slices in which the sides take turns")
    parser.add_argument("--batch-sizes", nargs="+", default=["16"], help="the harness's: numbers or auto")
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


def fastest(sides: dict[str, Side]) -> Side:
    """The harness with the batch size that served it best."""
    return min((side for name, side in sides.items() if name.startswith(HARNESS)), key=lambda side: side.seconds)


def show(measured: dict[str, dict[str, Side]], items: list[Item], family: list[str]) -> None:
    """Print the ratios."""
    title = f"{len(items)} items of {', '.join(family)}: {sum(len(item.requests) for item in items)} requests"
    columns = ("dtype", "items/s", "/ lm_eval", "/ its float32", "blocks", "with logits", "tokens", "accuracy")
    table = Table(title=title)
    for column in columns:
        table.add_column(column, no_wrap=True)
    slowest = fastest(measured["float32"]).seconds
    for dtype, sides in measured.items():
        ours, theirs = sides["semprune"], fastest(sides)
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
    console = Console(width=120)
    console.print(table)
    for dtype, sides in measured.items():
        for name, side in sides.items():
            if name.startswith(HARNESS):
                console.print(f"{dtype}, {name}: {side.seconds:.0f} s, and {side.search:.0f} s of search for the size")
    exact, half = (pd.concat(measured[dtype]["semprune"].tables) for dtype in ("float32", "bfloat16"))
    console.print("bfloat16 against float32:")
    console.print(compare_scores(exact, half).to_string(index=False, float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
