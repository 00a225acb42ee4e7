"""Scores of language models: log-likelihoods, perplexity, metrics with intervals, and paired tests."""

from semprune.evaluation.causal_lm import CausalLM, context_length, evaluating
from semprune.evaluation.comparison import compare
from semprune.evaluation.engine import Engine, Throughput
from semprune.evaluation.evaluate import evaluate, predict_items
from semprune.evaluation.flips import FLIP_COLUMNS, flips
from semprune.evaluation.item_metric import ItemMetric
from semprune.evaluation.logits import logits_at
from semprune.evaluation.metrics import METRICS, Outcomes, measure
from semprune.evaluation.perplexity import perplexity, perplexity_interval
from semprune.evaluation.predictions import PREDICTION_COLUMNS, Prediction, outcomes, predict, prediction_table
from semprune.evaluation.prompt_spread import SPREAD_COLUMNS, prompt_spread
from semprune.evaluation.results import MEASUREMENT_COLUMNS, summarise, summarise_perplexity
from semprune.evaluation.rolling import TextScores, rolling_loglikelihood, text_perplexity
from semprune.evaluation.score_cache import ScoreCache
from semprune.evaluation.score_differences import compare_scores
from semprune.evaluation.scorer import Scorer
from semprune.evaluation.scoring import loglikelihood, score_batch
from semprune.evaluation.statistics import Interval, bootstrap, bootstrap_p, mcnemar, percentile_interval
from semprune.evaluation.token_logprobs import token_logprobs
from semprune.evaluation.tree_attention import reads_trees

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
    "context_length",
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
    "score_batch",
    "summarise",
    "summarise_perplexity",
    "text_perplexity",
    "token_logprobs",
]
