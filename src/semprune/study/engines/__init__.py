"""What runs the cells of a study: this process, several here, Ray tasks, or SLURM jobs; all on one store."""

from semprune.study.config.schema import StudyConfig
from semprune.study.engines.local import run_local
from semprune.study.engines.ray_tasks import run_on_ray
from semprune.study.engines.slurm import run_on_slurm
from semprune.study.worker import Worker

__all__ = ["run_engine"]

ENGINES = {"local": run_local, "ray": run_on_ray, "slurm": run_on_slurm}


def run_engine(config: StudyConfig, worker: Worker) -> None:
    """Measure all cells of a study; what every cell needs (association, dense model) is there already.

    Args:
        config: The study.
        worker: This process's.

    Raises:
        ConfigurationError: The engine is not installed.
    """
    ENGINES[config.engine.name](config, worker)
