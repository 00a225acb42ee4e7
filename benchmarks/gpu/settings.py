"""Sizes of a run, and the time that each of its parts may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MINUTES = 9.0
"""Longest run in all."""

SMOLLM2 = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
}
LLAMA_7B = {"hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32, "vocab_size": 32000}
TINY = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "vocab_size": 64}

LIMITS = {
    "checks": 70,
    "peak": 20,
    "fit": 75,
    "gates": 40,
    "pruning": 110,
    "sparsegpt": 150,
    "scoring": 40,
    "perplexity": 35,
}
"""Seconds of each part, in the order in which they run, what makes and imports it included. They fit into
:data:`MINUTES`."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is.

    Attributes:
        small: Shape of the model that is fitted and scored.
        small_blocks: Its blocks.
        large: Shape of the model that is pruned.
        large_blocks: Its blocks.
        few_blocks: Blocks of what is profiled or only a taste.
        concepts: Concepts of the fit.
        documents: Documents of the fit.
        document_tokens: Tokens of each.
        document_batch: Documents of a batch.
        sequences: Calibration sequences.
        length: Tokens of each.
        batch: Sequences of a forward.
        items: Items that are scored, each with four endings.
        text: Sequences whose perplexity is taken.
        text_length: Tokens of each.
        product: Rows, columns and depth of the product that gives the peak.
        repeats: Turns of everything that takes less than seconds.
    """

    small: Mapping[str, int] = field(default_factory=lambda: dict(SMOLLM2))
    small_blocks: int = 30
    large: Mapping[str, int] = field(default_factory=lambda: dict(LLAMA_7B))
    large_blocks: int = 32
    few_blocks: int = 4
    concepts: int = 100
    documents: int = 1024
    document_tokens: int = 128
    document_batch: int = 128
    sequences: int = 128
    length: int = 2048
    batch: int = 8
    items: int = 500
    text: int = 64
    text_length: int = 1024
    product: int = 8192
    repeats: int = 7


FULL = Sizes()
SMALLEST = Sizes(
    small=TINY, small_blocks=2, large=TINY, large_blocks=2, few_blocks=1, concepts=3, documents=16, document_tokens=16,
    document_batch=8, sequences=4, length=16, batch=2, items=4, text=4, text_length=16, product=64, repeats=2,
)  # fmt: skip
"""For a run without a GPU, which shows that everything works and nothing more."""
