"""Studies: one association, many pruned models, every figure paired with the dense model's."""

from semprune.study.config import StudyConfig
from semprune.study.run import run_study
from semprune.study.single import further_tables, write_fit, write_test
from semprune.study.trainer import PairedTrainer

__all__ = ["PairedTrainer", "StudyConfig", "further_tables", "run_study", "write_fit", "write_test"]
