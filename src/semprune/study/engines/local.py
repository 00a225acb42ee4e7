"""Cells in this process, or in several processes on this machine."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed

import torch

from semprune.study.cell.worker import Worker
from semprune.study.config.schema import StudyConfig
from semprune.study.engines.job import open_groups, work_at


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
        with pool:
            tasks = [pool.submit(work_at, config, [number], worker.started) for number in open_groups(worker)]
            for task in as_completed(tasks):
                if task.exception() is None:
                    worker.hear(task.result())
    worker.work()
