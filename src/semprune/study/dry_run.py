"""What a study would cost: its cells, which of them are done, time and memory; nothing is fitted or written."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from rich.console import Console

from semprune.artefacts import DENSE, Cell
from semprune.data.batches.batching import EncodedItem
from semprune.data.batches.encoding import padding_token
from semprune.evaluation.engine.loglikelihood import score_encoded
from semprune.evaluation.engine.prefix_tree import grow_trees
from semprune.evaluation.engine.request_scorer import Engine
from semprune.evaluation.engine.tree_attention import reads_trees
from semprune.io.provenance import peak_memory_bytes
from semprune.io.safe_text import short_name
from semprune.io.whole_table import WholeTable
from semprune.pruning import dense_statistics, find_method, prune_from
from semprune.pruning.weights.linear import WeightCopy
from semprune.study.cell.shared import load_model
from semprune.study.config.checks import check, with_tables
from semprune.study.config.grid import in_groups, pruned_cells
from semprune.study.config.schema import StudyConfig, one_backbone_each
from semprune.study.preflight import preflight
from semprune.study.store import store
from semprune.study.worker import Worker

PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Cost:
    """Seconds that cells take.

    Attributes:
        measuring: A cell's items, text and documents.
        pruning: Pruning with each method.
        calibration: One calibration token through the model, once or twice as the statistics need.
        recorded: Median seconds of the study's finished cells, by method; what is recorded is believed first.
    """

    measuring: float
    pruning: dict[str, float]
    calibration: float
    recorded: dict[str, float]

    def seconds(self, group: list[Cell], statistics: str) -> float:
        """What is left of a group of cells that share calibration sequences."""
        tokens = group[0].sequences * group[0].length
        passes = 1 if statistics == "dense" else 2 * len(group)  # sequential: each block before and after pruning
        known = [cell for cell in group if cell.method in self.recorded]
        guessed = [cell for cell in group if cell.method not in self.recorded]
        total = sum(self.recorded[cell.method] for cell in known)
        total += sum(self.measuring + self.pruning.get(cell.method, 0.0) for cell in guessed)
        return total + (passes * tokens * self.calibration if guessed else 0.0)


def plan_study(config: StudyConfig, console: Console) -> float:
    """Print what a study's fit and measurements find, its cells, which of them are done, and what the others will cost.

    Times are medians of the study's finished cells of each method where there are any; else from a probe: some seconds
    of scoring, and one pruning with each method from a single calibration sequence. A probe says nothing of the tables
    (bootstrap, semantic loss), so it is a floor. Memory is this process's peak after the probe.

    Args:
        config: The study.
        console: Where the table goes.

    Returns:
        Estimated seconds of what is left, on one process.

    Raises:
        SempruneError: Of the kind of what is wrong with the configuration or the data.
    """
    config = with_tables(config)
    check(config)
    return sum(_plan_one(one, console) for one in one_backbone_each(config))


def _plan_one(config: StudyConfig, console: Console) -> float:
    lm = load_model(config.backbone)
    worker = Worker(config, lm, console, reads_only=True)
    preflight(worker, console)
    groups = in_groups(list(pruned_cells(config)))
    cost = probe(worker)
    title = f"{short_name(config.backbone.name)}: cells"
    table = WholeTable("calibration", "size", "seed", "cells", "done", "left", title=title, keys=3)
    screening = _screening_seconds(worker, cost)
    total = screening if store.is_done(worker.addresses, DENSE) else screening + cost.measuring
    for group in groups:
        open_cells = [cell for cell in group if not store.is_done(worker.addresses, cell)]
        seconds = cost.seconds(open_cells, config.statistics) if open_cells else 0.0
        first, total = group[0], total + seconds
        size = f"{first.sequences}x{first.length}" if first.calibration else ""
        table.add_row(first.calibration or "none", size, str(first.seed) if first.calibration else "", str(len(group)),
                      str(len(group) - len(open_cells)), _minutes(seconds))  # fmt: skip
    console.print(table)
    for cell in (cell for group in groups for cell in group if not store.is_done(worker.addresses, cell)):
        console.print(f"  {cell.label}")
    if screening:
        console.print(
            f"  screening: about {_minutes(screening)}; until then the first wording of each data set is counted"
        )
    workers = config.engine.workers
    console.print(
        f"{sum(map(len, groups))} cells and the dense model; about {_minutes(total)} left on one process"
        + (f", {_minutes(total / workers)} on {workers}" if workers > 1 else "")
        + f"; {peak_memory_bytes() / 1e9:.1f} GB of memory each"
        + ("" if cost.recorded else "; a floor, from a probe")
    )
    return total


def _screening_seconds(worker: Worker, cost: Cost) -> float:
    """What the dense model's answers to the screening items cost that are not in the store."""
    screening = worker.data.screening
    missing = [] if screening is None else screening.missing
    items = [item for name in missing if screening is not None for item in screening.items[name].items]
    return _tokens(worker, items) * cost.calibration


def _tokens(worker: Worker, items: list[EncodedItem]) -> int:
    requests = [request for item in items for request in item.requests]
    trees = grow_trees(requests, branching=reads_trees(worker.lm.model), largest=worker.config.token_budget)
    return sum(len(tree.tokens) for tree in trees)


def probe(worker: Worker) -> Cost:
    """Measure for some seconds what cells cost, and read what finished ones have cost."""
    data = worker.data
    tokens = _tokens(worker, [item for items in data.datasets.values() for item in items]) + data.text.numel()
    tokens += sum(int(batch.attention_mask.sum()) for batch in data.held_out)
    second = _seconds_per_token(worker)
    return Cost(tokens * second, _pruning_seconds(worker), second, recorded_seconds(worker))


def recorded_seconds(worker: Worker) -> dict[str, float]:
    """Median seconds of finished cells by method."""
    found: dict[str, list[float]] = {}
    for cell in pruned_cells(worker.config):
        if store.is_done(worker.addresses, cell):
            about = store.read_json(worker.addresses.cell(cell) / store.DONE)
            found.setdefault(cell.method, []).append(about["seconds"]["total"])
    return {method: statistics.median(seconds) for method, seconds in found.items()}


def _seconds_per_token(worker: Worker) -> float:
    """Scores items, data set by data set, until the probe's time is over."""
    seconds, tokens = 0.0, 0
    for items in worker.data.datasets.values():
        engine = Engine(worker.lm.model, padding_token(worker.lm.tokenizer), worker.config.token_budget)
        score_encoded(engine, [request for item in items for request in item.requests][:64])
        seconds, tokens = seconds + engine.throughput.seconds, tokens + engine.throughput.tokens
        if seconds > PROBE_SECONDS:
            break
    return seconds / tokens


def _pruning_seconds(worker: Worker) -> dict[str, float]:
    """One pruning with each method from statistics of one sequence, which take as long and as much as of many."""
    lm, config = worker.lm, worker.config
    calibrated = [method for method in config.methods if find_method(method).needs_statistics]
    ids = worker.data.text[:1].to(lm.device)
    collected = dense_statistics(lm.model, ids, methods=calibrated)
    dense, found = WeightCopy(lm.model), {}
    share = {"sparsity": config.sparsities[0]} if config.sparsities else {"pattern": config.patterns[0]}
    for method in config.methods:
        started = time.perf_counter()
        try:
            prune_from(lm.model, collected, method=method, **share)
        finally:
            dense.write_back()
        found[method] = time.perf_counter() - started
    return found


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"
