"""Runs a study: fit once, measure the dense model, then every pruned one; continues where it was killed."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from semprune.artefacts import TABLES, write_table
from semprune.backbones.hardware import fast_fp32
from semprune.backbones.loading.source import find_backbone
from semprune.backbones.weights.fingerprint import fingerprint_folder
from semprune.data.batches.special_tokens import special_tokens, spelled, window_prefix
from semprune.errors import ConfigurationError
from semprune.io.files import write_parquet
from semprune.io.provenance import RunClock
from semprune.io.safe_text import short_name
from semprune.io.terminal import Terminal
from semprune.study.association import describe_association
from semprune.study.calibration.table import calibration_table
from semprune.study.calibration.task_concepts import task_concepts
from semprune.study.cell.shared import load_model
from semprune.study.config.checks import check, with_tables
from semprune.study.config.grid import all_cells, pruned_cells
from semprune.study.config.schema import StudyConfig, one_backbone_each
from semprune.study.engines import run_engine
from semprune.study.progress import Progress
from semprune.study.retained import write_retained
from semprune.study.run_folder import MERGED, merge, write_provenance, write_shared_provenance
from semprune.study.store import store
from semprune.study.store.store import claim
from semprune.study.worker import Worker

FAILURES = "failures.parquet"


@fast_fp32()  # here as in the engines' processes, whoever calls
def run_study(config: StudyConfig, console: Console | None = None) -> Path:
    """Run what is not done yet, and write the run folder's tables.

    A cell that fails is left out of the tables and listed in ``failures.parquet``; the others go on. With several
    backbones, each has a folder of its own in the run folder, whose tables hold all of them.

    Args:
        config: The study.
        console: Where progress goes; None takes standard error.

    Returns:
        The run folder; :mod:`semprune.report` reads it.

    Raises:
        SempruneError: Of the kind of what is wrong with the configuration, the data or the artefacts.
    """
    config = with_tables(config)
    check(config)
    console = console or Terminal(stderr=True)
    run = Path(config.output)
    if not config.backbones:
        return _run_one(config, console)
    _require_different(one_backbone_each(config))
    runs = [_run_one(one, console) for one in one_backbone_each(config)]
    apart = ("retained", "calibration", "task_concepts", "screening", "failures")
    for name in (*(table.name for table in MERGED), *apart):
        tables = [store.read_table(path) for one in runs if (path := one / f"{name}.parquet").is_file()]
        if tables:
            write_parquet(run / f"{name}.parquet", pd.concat(tables, ignore_index=True))
    write_shared_provenance(run, runs)
    return run


def failed_cells(run: Path) -> pd.DataFrame:
    """Cells of a run that failed, with their errors; empty where all are there."""
    path = run / FAILURES
    return store.read_table(path) if path.is_file() else pd.DataFrame(columns=["method", "error"])


def _require_different(configs: list[StudyConfig]) -> None:
    """Refuse backbones that are one model under two names: their rows could not be told apart.

    Raises:
        ConfigurationError: There are such.
    """
    names: dict[str, str] = {}
    for config in configs:
        source = find_backbone(config.backbone.name)
        mark = str(fingerprint_folder(source.folder, source.architecture, source.revision))
        other = names.setdefault(mark, source.name)
        if other != source.name:
            raise ConfigurationError(
                f"backbones {other} and {source.name} are one model, {mark}. Leave one of them out."
            )


def _run_one(config: StudyConfig, console: Console) -> Path:
    clock, run = RunClock(), Path(config.output)
    run.mkdir(parents=True, exist_ok=True)
    lm = load_model(config.backbone)
    dtype = str(lm.dtype).removeprefix("torch.")
    console.print(f"model {short_name(lm.name)}, {dtype} ({lm.fingerprint})")
    worker = Worker(config, lm, console)
    if worker.data.screening is not None and worker.data.screening.missing:
        console.print(f"screening {len(worker.data.screening.missing)} data sets")
    worker.data.read_all(list(pruned_cells(config)))
    shared = worker.shared
    describe_association(shared.module, shared.cards, run)
    causal = worker.causal()
    console.print("dense model")
    worker.dense()
    worker.told = Progress(console, worker.addresses, len(list(pruned_cells(config))), run)
    run_engine(config, worker)
    _describe_texts(worker, run)
    _write_run(worker, run, causal, clock)
    return run


def _describe_texts(worker: Worker, run: Path) -> None:
    """Say of calibration sets and data sets how they are alike, where there are several sets to choose from."""
    names = ("calibration", "task_concepts")
    if len(worker.config.all_calibrations) == 1:
        for name in names:
            (run / TABLES[name].file).unlink(missing_ok=True)  # of other settings
        return
    with claim(worker.addresses.store / "texts.lock", wait=True):  # what one process describes, others read
        tables = [make(worker.shared, worker.addresses) for make in (calibration_table, task_concepts)]
    for name, table in zip(names, tables, strict=True):
        if len(table):
            write_table(run, name, table)


def _write_run(worker: Worker, run: Path, causal: Path | None, clock: RunClock) -> None:
    config, addresses, lm = worker.config, worker.addresses, worker.lm
    cells = list(all_cells(config))
    if worker.data.screening is None:
        (run / TABLES["screening"].file).unlink(missing_ok=True)  # of other settings
    else:
        write_table(run, "screening", worker.data.screening.table)
    merge(addresses, cells, str(lm.fingerprint), run)
    write_retained(addresses, cells, str(lm.fingerprint), run)
    if causal is None:
        (run / TABLES["causal"].file).unlink(missing_ok=True)  # of other settings
    else:
        write_table(run, "causal", store.read_table(causal))
    failures = worker.failures()
    if len(failures):
        write_parquet(run / FAILURES, failures)
    else:
        (run / FAILURES).unlink(missing_ok=True)
    about = {cell: store.read_json(addresses.cell(cell) / store.DONE) for cell in cells}
    tokens = {"-".join(map(str, cell.draw)): found["tokens"] for cell, found in about.items() if "tokens" in found}
    data, tokenizer = worker.data, lm.tokenizer
    begins = {
        "texts": special_tokens(tokenizer).prefix,
        "calibration": window_prefix(tokenizer, config.calibration_add_bos),
        "perplexity": window_prefix(tokenizer, config.text.add_bos),
    }
    write_provenance(
        run, clock, lm, items=data.items_hash, left_out=data.left_out, documents=data.documents.data_hash,
        calibration=tokens, special_tokens={name: spelled(tokenizer, prefix) for name, prefix in begins.items()},
        settings=asdict(replace(config, chat=config.spoken or False)), datasets=config.datasets,
    )  # fmt: skip
