"""The metrics a report knows: their names for readers, their scale, and what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

from semprune.report.run.formats import interval, number


@dataclass(frozen=True, slots=True)
class Metric:
    """How one metric is shown.

    Attributes:
        name: Name in ``results.parquet``.
        label: Name for readers.
        short: Name where there is little room.
        about: What it measures, and what guessing gives.
        scale: Factor from the stored value to the shown one (100: shown as points).
        higher_is_better: False where less is better.
        digits: Decimals shown.
    """

    name: str
    label: str
    short: str
    about: str
    scale: float = 100
    higher_is_better: bool = True
    digits: int = 1

    @property
    def loss_word(self) -> str:
        """What getting worse is called: a drop, or a rise."""
        return "drop" if self.higher_is_better else "rise"

    def number(self, value: float) -> str:
        """A stored value as shown, e.g. AUROC 0.911 as ``91.1``; perplexities from 100 on lose their decimals."""
        return number(value * self.scale, self._digits(value))

    def interval(self, low: float, high: float) -> str:
        """A stored interval as shown."""
        return interval(low * self.scale, high * self.scale, self._digits(max(abs(low), abs(high))))

    def _digits(self, value: float) -> int:
        return 0 if self.scale == 1 and math.isfinite(value) and abs(value) >= 100 else self.digits


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy", "acc.", "Share of items whose highest-scoring answer is the right one."),
        Metric(
            "calibrated_accuracy",
            "Calibrated accuracy",
            "cal. acc.",
            "Accuracy after the model's standing preference for some answers has been subtracted: a pruned model that "
            "merely prefers another label word does not lose here.",
        ),
        Metric(
            "auroc",
            "AUROC",
            "AUROC",
            "Chance that an item of a class is scored above one that is not; 50 is guessing. A shifted preference for "
            "one label word does not move it, so a drop here is lost knowledge rather than bias.",
        ),
        Metric("spearman", "Spearman", "rho", "Rank correlation with human scores, times 100; 0 is guessing."),
        Metric(
            "acc_norm",
            "Length-normalised accuracy",
            "acc. norm",
            "Accuracy with each answer's score divided by its length in characters, so that short answers have no "
            "advantage.",
        ),
        Metric("macro_f1", "Macro F1", "macro F1", "F1 averaged over the classes, so that rare ones count as much."),
        Metric("f1", "F1", "F1", "Harmonic mean of precision and recall on the positive class."),
        Metric(
            "expected_calibration_error",
            "Calibration error",
            "ECE",
            "Gap between how sure the model is and how often it is right; lower is better.",
            higher_is_better=False,
        ),
        Metric(
            "perplexity",
            "Perplexity",
            "ppl",
            "How surprised the model is by ordinary text; lower is better.",
            scale=1,
            higher_is_better=False,
        ),
        Metric(
            "retained",
            "Share of skill",
            "skill",
            "Share of the dense model's score above guessing; it can be compared between data sets, points cannot.",
            digits=0,
        ),
        Metric(
            "label_logprob",
            "Log-probability of the right answer",
            "label log p",
            "Mean log-probability of the right answer among the answers of an item, in nats; 0 is certain.",
            scale=1,
            digits=3,
        ),
        Metric(
            "concept_logprob",
            "Log-probability of the concept's words",
            "word log p",
            "Mean log-probability that the model gives to the concept's words in ordinary text, in nats.",
            scale=1,
            digits=3,
        ),
    )
}

MEASURES = {
    measure.name: measure
    for measure in (
        Metric(
            "kl",
            "KL divergence per token",
            "KL per token, nats",
            "How far the distribution over the next token is from the dense model's, in nats; 0 is the same.",
            scale=1,
            higher_is_better=False,
            digits=3,
        ),
        Metric(
            "same_top",
            "Same likeliest token",
            "same likeliest token, %",
            "Share of positions at which both models find the same next token likeliest.",
        ),
        Metric(
            "log_perplexity",
            "Log-perplexity",
            "log-perplexity, change",
            "Log-perplexity, pruned minus dense, in nats per token.",
            scale=1,
            higher_is_better=False,
            digits=3,
        ),
        Metric("flips", "Flips", "flips, %", "Lost and gained together.", higher_is_better=False),
        Metric("lost", "Lost", "lost, %", "Right before, wrong now.", higher_is_better=False),
        Metric("gained", "Gained", "gained, %", "Wrong before, right now.", higher_is_better=False),
        Metric("moved", "Moved", "moved, %", "Wrong before and now, with another answer.", higher_is_better=False),
        Metric(
            "item_kl",
            "KL divergence over choices",
            "KL over choices, nats",
            "How far the distribution over an item's choices is from the dense model's, in nats.",
            scale=1,
            higher_is_better=False,
            digits=3,
        ),
        Metric(
            "rank_agreement",
            "Rank agreement",
            "rank agreement",
            "Spearman's correlation of both models' log-odds over items; 1 is the same order.",
            scale=1,
            digits=2,
        ),
    )
}
"""What compares a model with the dense one without asking who is right: the measures of ``fidelity.parquet``."""

# Which metric stands for a family, best first: those that a shifted label preference cannot move, then plain ones.
HEADLINE_PREFERENCE = ("auroc", "spearman", "calibrated_accuracy", "accuracy", "acc_norm", "macro_f1", "f1")
