"""Cells as Ray tasks, on one machine or a cluster whose machines share the store's file system."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from semprune.errors import ConfigurationError
from semprune.study.config.schema import EngineConfig, StudyConfig
from semprune.study.engines.local import open_groups, work_at
from semprune.study.worker import Worker


def run_on_ray(config: StudyConfig, worker: Worker) -> None:
    """Measure all cells; each group of cells that share calibration sequences is a task with cores and GPUs of its own.

    A cluster that runs already is joined (``options: {address: auto}``, or ``RAY_ADDRESS``), else one is started on
    this machine with as many cores as the workers need. Tasks that fail are run again by Ray; what is still left then
    is measured by this process.

    Args:
        config: The study.
        worker: This process's.

    Raises:
        ConfigurationError: Ray is not installed, or there is no cluster where one is asked for.
    """
    ray, engine = _ray(), config.engine
    try:
        ray.init(**_options(engine))
    except ConnectionError as error:
        raise ConfigurationError(f"engine 'ray' found no cluster to join: {error}") from error
    try:
        task = ray.remote(num_cpus=engine.cpus, num_gpus=engine.gpus, max_retries=3)(work_at)
        waiting = [task.remote(config, [number], worker.run) for number in open_groups(worker)]
        while waiting:
            ready, waiting = ray.wait(waiting)
            for reference in ready:
                try:
                    worker.hear(ray.get(reference))
                except ray.exceptions.RayError as error:
                    worker.console.print(f"a Ray task died: {error}")
    finally:
        ray.shutdown()
    worker.work()


def _options(engine: EngineConfig) -> dict[str, Any]:
    if "address" in engine.options or os.environ.get("RAY_ADDRESS"):
        return engine.options
    return {"address": "local", "num_cpus": engine.workers * engine.cpus} | engine.options


def _ray() -> Any:
    try:
        return import_module("ray")
    except ImportError as error:
        raise ConfigurationError("engine 'ray' needs Ray: pip install 'semprune[ray]'.") from error
