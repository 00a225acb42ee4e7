"""Perplexity per word or byte: comparable between models whose tokenizers differ."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from semprune.errors import SettingError

Unit = Literal["word", "byte"]


def count_units(text: str, unit: Unit) -> int:
    r"""Words (pieces between blanks) or UTF-8 bytes of a text, as the field's harness counts them.

    Args:
        text: Any text; blanks at its ends make empty words, as in the harness.
        unit: What to count.

    Raises:
        SettingError: If the unit is neither.

    Example:
        >>> count_units("Crème\n brûlée", "word"), count_units("Crème\n brûlée", "byte")
        (2, 16)
    """
    if unit == "word":
        return len(re.split(r"\s+", text))
    if unit == "byte":
        return len(text.encode())
    raise SettingError("unit", unit, "word or byte")


class TextPerplexity(Metric):
    r"""Perplexity of whole texts per word or byte; sums add over batches and ranks.

    .. math:: \exp\left(\frac{\sum_d \mathrm{NLL}_d}{\sum_d \mathrm{units}_d}\right)

    Source: equations.md; ``word_perplexity`` and ``byte_perplexity`` of EleutherAI's lm-evaluation-harness, whose
    ``bits_per_byte`` is the base-2 logarithm of the latter.

    Example:
        >>> perplexity = TextPerplexity("word")
        >>> perplexity.update(["one two", "three"], torch.tensor([2.0, 1.0]) * math.log(4))
        >>> round(perplexity.compute().item(), 6)
        4.0
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    nll: Tensor
    units: Tensor

    def __init__(self, unit: Unit = "word") -> None:
        """Start without texts.

        Args:
            unit: ``word`` or ``byte``.

        Raises:
            SettingError: If the unit is neither.
        """
        super().__init__()
        count_units("", unit)
        self.unit: Unit = unit
        self.add_state("nll", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("units", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, texts: Sequence[str], nll: Float[Tensor, " texts"]) -> None:
        """Add texts.

        Args:
            texts: Whole texts; may be empty.
            nll: Summed negative log-likelihood of each, in nats.
        """
        self.nll += nll.double().sum().to(self.nll.device)
        self.units += sum(count_units(text, self.unit) for text in texts)

    def compute(self) -> Float[Tensor, ""]:
        """Return the perplexity over all ranks, NaN without any text."""
        return (self.nll / self.units).exp() if self.units > 0 else torch.tensor(math.nan, device=self.nll.device)
