"""Cells as SLURM jobs through submitit; the cluster's machines share the store's file system."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from semprune.errors import ConfigurationError
from semprune.study.config.schema import StudyConfig
from semprune.study.engines.local import open_groups, work_at
from semprune.study.worker import Worker


def run_on_slurm(config: StudyConfig, worker: Worker) -> None:
    """Measure all cells; each group of cells that share calibration sequences is a job of one array.

    This process waits for the jobs. Where it is ended first, the jobs go on, and the same command merges what they
    left and submits what is missing. What failed jobs leave is measured by this process at the end.

    Args:
        config: The study; ``engine.options`` are submitit's parameters, and ``cluster: local`` runs without SLURM.
        worker: This process's.

    Raises:
        ConfigurationError: Submitit is not installed.
    """
    submitit, engine = _submitit(), config.engine
    options: dict[str, Any] = dict(engine.options)
    executor = submitit.AutoExecutor(folder=Path(config.output) / "jobs", cluster=options.pop("cluster", None))
    options |= {"cpus_per_task": engine.cpus}
    if engine.gpus:
        options["gpus_per_node"] = int(engine.gpus)
    executor.update_parameters(slurm_array_parallelism=engine.workers, **options)
    groups = [[number] for number in open_groups(worker)]
    if groups:
        jobs = executor.map_array(
            work_at, [config] * len(groups), groups, [worker.run] * len(groups)
        )  # fmt: skip
        for job in submitit.helpers.as_completed(jobs):
            if job.exception() is None:
                worker.hear(job.result())
            else:
                worker.console.print(f"job {job.job_id} died: {job.exception()}")
    worker.work()


def _submitit() -> Any:
    try:
        return import_module("submitit")
    except ImportError as error:
        raise ConfigurationError("engine 'slurm' needs submitit: pip install 'semprune[slurm]'.") from error
