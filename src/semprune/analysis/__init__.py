"""What a study's tables say together: which calibration set, for what, and what predicts the damage; needs no torch."""

from semprune.analysis.calibration import calibration_ranking, calibration_spread, task_likeness_effect, variance_shares
from semprune.analysis.divergences import item_divergences, text_divergences
from semprune.analysis.drops import Drops, read_drops
from semprune.analysis.prediction import prediction_table, spearman_table
from semprune.analysis.predictors import predictor_table
from semprune.analysis.recommend import Recommendation, recommend
from semprune.analysis.skill_drops import SkillOf, skill_drops
from semprune.statistics.estimate import Estimate

__all__ = [
    "Drops",
    "Estimate",
    "Recommendation",
    "SkillOf",
    "calibration_ranking",
    "calibration_spread",
    "item_divergences",
    "prediction_table",
    "predictor_table",
    "read_drops",
    "recommend",
    "skill_drops",
    "spearman_table",
    "task_likeness_effect",
    "text_divergences",
    "variance_shares",
]
