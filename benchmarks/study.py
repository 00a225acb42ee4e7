"""What a study's grid costs over its unavoidable forwards: ``python benchmarks/study.py``.

Measures every cell of a part of a study's grid as the study does, and beside it the same number of tokens through bare
forwards of the same sizes: calibration once per group, items, text and documents once per cell. The pairs alternate, so
that a busy machine slows both. Prints seconds by stage and the ratio; the target is 1.3.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
import yaml
from rich.console import Console

from semprune.backbones import Backbone, load_backbone
from semprune.evaluation import perplexity
from semprune.evaluation.engine.packing import PackedBatch, pack, plan_batches, score_packed
from semprune.evaluation.engine.prefix_tree import grow_trees
from semprune.evaluation.engine.tree_attention import reads_trees
from semprune.study.config.grid import pruned_cells
from semprune.study.config.schema import BackboneConfig, FitConfig, StudyConfig, TextConfig
from semprune.study.store import store
from semprune.study.worker import Worker


def study_of(path: Path, folder: Path, arguments: argparse.Namespace) -> StudyConfig:
    """One calibration of a study, with other names for output and store."""
    given = yaml.safe_load(path.read_text())
    parts = {"backbone": BackboneConfig, "fit": FitConfig, "text": TextConfig}
    given |= {name: cls(**given[name]) for name, cls in parts.items()}
    given.pop("engine", None)
    config = StudyConfig(**given)
    return replace(
        config, output=str(folder / "run"), store=str(folder / "store"), calibrations=config.calibrations[:1],
        seeds=config.seeds[:1], causal=None, sentence_encoder=None, limit=arguments.limit or config.limit,
        methods=arguments.methods or config.methods, sparsities=arguments.sparsities or config.sparsities,
    )  # fmt: skip


def batches(worker: Worker) -> list[PackedBatch]:
    """A study's items as packed batches, data set by data set: all that scoring must read."""
    branching, budget, found = reads_trees(worker.lm.model), worker.config.token_budget, []
    for encoded in worker.data.datasets.values():
        trees = grow_trees(encoded.requests, branching=branching, largest=budget)
        found += [pack(batch, encoded.requests, 0) for batch in plan_batches(trees, budget, branching=branching)]
    return found


def bare_cell(lm: Backbone, worker: Worker, items: list[PackedBatch]) -> float:
    """Seconds of one cell's forwards: items with the logits that are read, text, documents."""
    started = time.perf_counter()
    with torch.inference_mode():
        for batch in items:
            score_packed(lm.model, batch)
        perplexity(lm.model, worker.data.text)
        for batch in worker.data.held_out:
            lm.model.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    return time.perf_counter() - started


def bare_calibration(lm: Backbone, worker: Worker, passes: int) -> float:
    """Seconds of the calibration sequences through the body."""
    cell = next(cell for cell in pruned_cells(worker.config) if cell.calibration)
    ids = worker.data.calibration(cell.draw).calibration_input_ids()
    started = time.perf_counter()
    with torch.inference_mode():
        for _ in range(passes):
            for batch in ids.split(8):
                lm.model.model(input_ids=batch)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("configs/study/calibration.yaml"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--methods", nargs="*")
    parser.add_argument("--sparsities", nargs="*", type=float)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        measure(study_of(arguments.config, folder, arguments))
    finally:
        shutil.rmtree(folder)


def measure(config: StudyConfig) -> None:
    """Measure cells in turn with their bare forwards."""
    lm = load_backbone(config.backbone.name, dtype=config.backbone.dtype)
    cells = list(pruned_cells(config))
    worker = Worker(config, lm, Console(stderr=True))
    worker.data.read_all(cells)
    worker.dense()
    items = batches(worker)
    bare_cell(lm, worker, items)  # warm
    calibrated = [cell for cell in cells if cell.calibration]
    passes = (1 if config.statistics == "dense" else 2 * len(calibrated)) if calibrated else 0
    floor, whole, ratios, stages = bare_calibration(lm, worker, passes), 0.0, {}, {}
    for cell in cells:
        bare = bare_cell(lm, worker, items)
        started = time.perf_counter()
        worker.measure(cell)
        seconds = time.perf_counter() - started
        floor, whole = floor + bare, whole + seconds
        ratios.setdefault(cell.method, []).append(seconds / bare)
        for stage, took in store.read_json(worker.addresses.cell(cell) / store.DONE)["seconds"].items():
            stages.setdefault(stage, []).append(took)
        print(f"{cell.label}: {seconds:.1f} s over {bare:.1f} s of forwards")
    for stage, took in stages.items():
        print(f"{stage}: {sum(took):.1f} s in {len(took)} cells")
    for method, found in ratios.items():
        print(f"{method}: a cell over its own forwards {statistics.median(found):.2f}")
    print(f"the grid over its unavoidable forwards: {whole / floor:.2f} ({whole:.0f} s over {floor:.0f} s)")


if __name__ == "__main__":
    main()
