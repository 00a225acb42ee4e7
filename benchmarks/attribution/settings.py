"""What is fitted, ablated and measured; plain values, which name every stored measurement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TESTS = ("sst2", "movie_reviews", "amazon_reviews")
"""Held-out sets that causal effects are reported on."""
SELECTION = "nyt_editorials"
"""Held-out set that the default ranking is chosen on: none of those that it is reported on."""
PROMPTS = {"sst2": "review"}
"""Wordings with which the dense model knows the task; the others have theirs first. With the harness's wording of sst2
its AUROC is near 0.6, and no ablation could cost much."""
WORDS = ("sentiment.negative", "sentiment.positive")
LEXICONS = {
    "empath": ("empath.negative_emotion", "empath.positive_emotion"),
    "general_inquirer": ("general_inquirer.negativ", "general_inquirer.positiv"),
}
"""Other lists for the meanings of :data:`WORDS`, in their order."""


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes:
        backbone: Name of the model.
        dtype: Its number format; statistics are fp32.
        datasets: Data sets with documents to fit on.
        limit: Texts of each, validation included; every seed draws others.
        max_length: Tokens kept of each.
        batch_size: Texts in a batch.
        concepts: Token-level concepts.
        items: Items of each held-out set.
        gradient_items: Labelled items that rankings by gradients look at, of each fitted sentiment set.
        sequences: Sequences of Wikipedia for the perplexity, of 256 tokens.
        shares: Shares of all neurons that are ablated.
        token_budget: Padded tokens of a forward.
        output: Folder of the measurements.
    """

    backbone: str = "smollm2-135m"
    dtype: str = "bfloat16"
    datasets: tuple[str, ...] = ("movie_reviews", "amazon_reviews", "bbc_news")
    limit: int = 300
    max_length: int = 64
    batch_size: int = 32
    concepts: tuple[str, ...] = ("default",)
    items: int = 100
    gradient_items: int = 32
    sequences: int = 8
    shares: tuple[float, ...] = (0.01,)
    token_budget: int = 2048
    output: Path = Path("runs/attribution")

    def fit(self, seed: int) -> dict[str, object]:
        """What a fit depends on."""
        return {
            "backbone": self.backbone, "dtype": self.dtype, "datasets": self.datasets, "limit": self.limit,
            "max_length": self.max_length, "batch_size": self.batch_size, "concepts": self.concepts, "seed": seed,
        }  # fmt: skip

    def measured(self) -> dict[str, object]:
        """What a measurement under ablation depends on, beside the neurons and what they are held at."""
        return {
            "backbone": self.backbone, "dtype": self.dtype, "sets": [*TESTS, SELECTION], "items": self.items,
            "sequences": self.sequences, "prompts": PROMPTS,
        }  # fmt: skip
