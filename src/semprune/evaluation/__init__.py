"""Scores of language models: log-likelihoods, perplexity, metrics with intervals, and paired tests."""

from semprune.evaluation.engine.loglikelihood import loglikelihood
from semprune.evaluation.evaluate import evaluate, predict_items
from semprune.evaluation.perplexity import perplexity
from semprune.evaluation.results.comparison import prompt_spread
from semprune.evaluation.results.flips import compare_scores, flips
from semprune.evaluation.results.summarise import summarise
from semprune.evaluation.rolling import rolling_loglikelihood, text_perplexity

__all__ = [
    "compare_scores",
    "evaluate",
    "flips",
    "loglikelihood",
    "perplexity",
    "predict_items",
    "prompt_spread",
    "rolling_loglikelihood",
    "summarise",
    "text_perplexity",
]
