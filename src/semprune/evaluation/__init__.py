"""Scores of language models: log-likelihoods, perplexity, metrics with intervals, and paired tests."""

from semprune.evaluation.engine.causal_lm import CausalLM, evaluating
from semprune.evaluation.engine.engine import Engine, Throughput
from semprune.evaluation.engine.logits import logits_at
from semprune.evaluation.engine.loglikelihood import loglikelihood
from semprune.evaluation.engine.token_logprobs import token_logprobs
from semprune.evaluation.engine.tree_attention import reads_trees
from semprune.evaluation.evaluate import evaluate, predict_items
from semprune.evaluation.metrics import METRICS, Outcomes, measure
from semprune.evaluation.perplexity import perplexity, perplexity_interval
from semprune.evaluation.predictions.item_metric import ItemMetric
from semprune.evaluation.predictions.predictions import (
    PREDICTION_COLUMNS,
    Prediction,
    outcomes,
    predict,
    prediction_table,
)
from semprune.evaluation.predictions.score_cache import ScoreCache
from semprune.evaluation.predictions.scorer import Scorer
from semprune.evaluation.results.comparison import SPREAD_COLUMNS, compare, prompt_spread
from semprune.evaluation.results.flips import FLIP_COLUMNS, compare_scores, flips
from semprune.evaluation.results.results import MEASUREMENT_COLUMNS, summarise, summarise_perplexity
from semprune.evaluation.rolling import TextScores, rolling_loglikelihood, text_perplexity
from semprune.statistics.bootstrap import Interval, bootstrap, bootstrap_p, percentile_interval
from semprune.statistics.significance import mcnemar

__all__ = [
    "FLIP_COLUMNS",
    "MEASUREMENT_COLUMNS",
    "METRICS",
    "PREDICTION_COLUMNS",
    "SPREAD_COLUMNS",
    "CausalLM",
    "Engine",
    "Interval",
    "ItemMetric",
    "Outcomes",
    "Prediction",
    "ScoreCache",
    "Scorer",
    "TextScores",
    "Throughput",
    "bootstrap",
    "bootstrap_p",
    "compare",
    "compare_scores",
    "evaluate",
    "evaluating",
    "flips",
    "logits_at",
    "loglikelihood",
    "mcnemar",
    "measure",
    "outcomes",
    "percentile_interval",
    "perplexity",
    "perplexity_interval",
    "predict",
    "predict_items",
    "prediction_table",
    "prompt_spread",
    "reads_trees",
    "rolling_loglikelihood",
    "summarise",
    "summarise_perplexity",
    "text_perplexity",
    "token_logprobs",
]
