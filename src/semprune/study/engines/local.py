"""Cells in this process, or in several processes on this machine."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import lru_cache

import torch

from semprune.artefacts import Cell
from semprune.backbones import Backbone
from semprune.backbones.hardware import fast_fp32
from semprune.io.terminal import Terminal
from semprune.study.cell.shared import load_model
from semprune.study.config.grid import in_groups, pruned_cells
from semprune.study.config.schema import BackboneConfig, StudyConfig
from semprune.study.worker import Worker


@fast_fp32()  # as in the process that asks for it
def work_at(config: StudyConfig, chosen: list[int] | None, run: str) -> list[tuple[Cell, str]]:
    """Work at a study in a process of its own.

    Args:
        config: The study, of one backbone.
        chosen: Numbers of the groups of cells to work at; None for all.
        run: Names the run.

    Returns:
        Each cell with how it went, in the order in which they were finished.
    """
    heard: list[tuple[Cell, str]] = []
    lm = _backbone(config.backbone.name, config.backbone.dtype)
    worker = Worker(config, lm, Terminal(stderr=True), lambda cell, how: heard.append((cell, how)), run)
    worker.work(chosen)
    return heard


def open_groups(worker: Worker) -> list[int]:
    """Numbers of the groups with a cell that is not finished."""
    groups = in_groups(list(pruned_cells(worker.config)))
    return [number for number, group in enumerate(groups) if not all(map(worker.is_settled, group))]


@lru_cache(maxsize=1)  # an engine reuses its processes
def _backbone(name: str, dtype: str) -> Backbone:
    return load_model(BackboneConfig(name, dtype))


def run_local(config: StudyConfig, worker: Worker) -> None:
    """Measure all cells; with several workers each group of cells is a task of a pool of processes.

    A process that dies takes its task with it: this process then measures what is left.

    Args:
        config: The study.
        worker: This process's.
    """
    if config.engine.workers > 1:
        # Not forked: a forked process hangs in the parent's thread pools.
        spawn, threads = multiprocessing.get_context("spawn"), max(1, torch.get_num_threads() // config.engine.workers)
        pool = ProcessPoolExecutor(config.engine.workers, spawn, torch.set_num_threads, (threads,))
        with pool, _ended_where_interrupted():
            with _deaf_to_interrupts():  # the processes inherit it: Ctrl-C is this one's, which then ends them
                tasks = [pool.submit(work_at, config, [number], worker.run) for number in open_groups(worker)]
            for task in as_completed(tasks):
                if task.exception() is None:
                    worker.hear(task.result())
    worker.work()


@contextmanager
def _ended_where_interrupted() -> Iterator[None]:
    """End the processes that were started inside where the block is interrupted: their pool would wait for them."""
    before = multiprocessing.active_children()
    try:
        yield
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            if process not in before:
                process.terminate()
        raise


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C, as do processes that are started inside; only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
