"""Processes of their own: forked from one that has imported what takes seconds to import, and that has no threads."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess

import torch.multiprocessing as mp

IMPORTED = ["torch", "torch.distributed", "transformers", "semprune", "semprune.pruning", "semprune.study"]


def run_ranks(work: Callable[..., None], ranks: int, *arguments: object) -> None:
    """Call ``work(rank, *arguments)`` in each of so many processes; an error in one is raised here."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(IMPORTED)
    given = (dict(os.environ), work, *arguments)
    mp.start_processes(_in_environment, args=given, nprocs=ranks, start_method="forkserver")


def start_process(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """Call ``work(0, *arguments)`` in a process of its own, which can be killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_in_environment, args=(0, dict(os.environ), work, *arguments))
    process.start()
    return process


def _in_environment(rank: int, environment: dict[str, str], work: Callable[..., None], *arguments: object) -> None:
    """What they are forked from began with the environment of an earlier test."""
    os.environ.clear()
    os.environ.update(environment)
    work(rank, *arguments)
