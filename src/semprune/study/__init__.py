"""Studies: one association, many pruned models, every figure paired with the dense model's."""

from semprune.study.config.schema import StudyConfig
from semprune.study.dry_run import plan_study
from semprune.study.run import failed_cells, run_study
from semprune.study.trainer_run import PairedTrainer, further_tables, write_fit, write_test

__all__ = [
    "PairedTrainer",
    "StudyConfig",
    "failed_cells",
    "further_tables",
    "plan_study",
    "run_study",
    "write_fit",
    "write_test",
]
