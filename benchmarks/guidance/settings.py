"""What is pruned, with what in mind, and measured; plain values, which name every stored measurement."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

CARRIERS = {
    "generic": "general text alone",
    "task": "the task's text, every token alike",
    "fisher": "the task's text, tokens weighted by the Fisher information of the answer (what --protect does)",
    "place": "the task's text, each token with the mean Fisher weight of its place in the item",
    "permuted": "the Fisher weights, permuted among the tokens of each item",
    "wrong": "another task's text with its Fisher weights",
}
"""Statistics that are added to those of general text, scaled to their total."""
ROWS = {
    "": "every row of a matrix has the same sparsity (Wanda), as the method has it",
    "lm": "rows share a matrix's sparsity by the Fisher information of the language model's loss",
    "task": "rows share it by that of the answer",
    "both": "rows share it by both, the answer's counting by the strength",
}


@dataclass(frozen=True)
class Cell:
    """One pruned model.

    Attributes:
        method: Pruning method; ``dense`` for none.
        carrier: A key of :data:`CARRIERS`.
        strength: γ; it says nothing with generic text alone.
        rows: A key of :data:`ROWS`.
        power: Power of a row's Fisher information; ½ in the first trial.
        amount: Sparsity, or N:M.
        draw: Which calibration sequences and guiding items.
    """

    method: str
    carrier: str = "generic"
    strength: float = 0.0
    rows: str = ""
    power: float = 0.5
    amount: str = "0.5"
    draw: int = 0

    @property
    def name(self) -> str:
        """A line's label.

        Example:
            >>> Cell("wanda", "fisher", 1.0, "both").name
            'wanda 0.5, fisher × 1, rows both^0.5'
        """
        guided = f", {self.carrier}" + (f" × {self.strength:g}" if self.carrier != "generic" else "")
        return f"{self.method} {self.amount}{guided}" + (f", rows {self.rows}^{self.power:g}" if self.rows else "")


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes:
        backbone: Name of the model.
        calibration: General text.
        sequences: Its sequences,
        length: of so many tokens.
        protect: Data set whose reserved items guide.
        wrong: Data set whose items guide as a control.
        guiding: Items that guide.
        datasets: Data sets that are evaluated; the guide saw none of them.
        wording: Which of their wordings, by its place.
        items: Items of each.
        text: Text of the perplexity and divergence.
        windows: Its windows of 256 tokens.
        output: Folder of the measurements.
    """

    backbone: str = "smollm2-135m"
    calibration: str = "c4"
    sequences: int = 48
    length: int = 256
    protect: str = "amazon_reviews"
    wrong: str = "sms_spam"
    guiding: int = 256
    datasets: tuple[str, ...] = ("movie_reviews", "nyt_editorials", "tweets")
    wording: int = 0
    items: int = 150
    text: str = "wiki"
    windows: int = 16
    output: Path = Path("runs/guidance")

    def plain(self) -> dict[str, object]:
        """What a measurement depends on beside its cell."""
        return {name: value for name, value in asdict(self).items() if name != "output"}
