"""Scores of language models: log-likelihoods, perplexity, metrics with intervals, and paired tests."""

from semprune.evaluation.engine.loglikelihood import loglikelihood
from semprune.evaluation.evaluate import evaluate, predict_items
from semprune.evaluation.fidelity import dense_text, token_fidelity
from semprune.evaluation.perplexity import perplexity
from semprune.evaluation.results.comparison import prompt_spread
from semprune.evaluation.results.flips import compare_scores, flips
from semprune.evaluation.results.item_fidelity import item_fidelity
from semprune.evaluation.results.retained import admitted_datasets, retained_table
from semprune.evaluation.results.summarise import summarise
from semprune.evaluation.rolling import rolling_loglikelihood, text_perplexity
from semprune.evaluation.screen import screen, screening_table

__all__ = [
    "admitted_datasets",
    "compare_scores",
    "dense_text",
    "evaluate",
    "flips",
    "item_fidelity",
    "loglikelihood",
    "perplexity",
    "predict_items",
    "prompt_spread",
    "retained_table",
    "rolling_loglikelihood",
    "screen",
    "screening_table",
    "summarise",
    "text_perplexity",
    "token_fidelity",
]
