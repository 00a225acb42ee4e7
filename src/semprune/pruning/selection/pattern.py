"""N:M patterns: in each run of M consecutive inputs of an output, N weights stay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.errors import SettingError


@dataclass(frozen=True, slots=True)
class Pattern:
    """N of M weights stay, as hardware names it: 2:4 keeps two of four, 1:4 keeps one of four.

    The published codes read N as the number that goes; for 2:4 and 4:8 the two readings agree.

    Attributes:
        kept: N, from 1 to M - 1.
        run: M, the number of consecutive inputs that compete.

    Example:
        >>> Pattern.parse("1:4").sparsity, str(Pattern(2, 4))
        (0.75, '2:4')
    """

    kept: int
    run: int

    @classmethod
    def parse(cls, text: str | int) -> Pattern:
        """Read ``N:M``.

        Args:
            text: The pattern. A number is what YAML makes of a pattern without quotes (2:4 is 124 in base 60), and is
                refused with that explanation.

        Raises:
            SettingError: It is not N:M with 0 < N < M; with N = 0 every run would be left empty.
        """
        allowed = "N:M with 0 < N < M, which keeps N weights of each M, such as 2:4"
        if not isinstance(text, str):
            raise SettingError("pattern", text, f"{allowed}; in YAML in quotes, since 2:4 without is a number there")
        found = re.fullmatch(r"(\d+):(\d+)", text)
        if found is None or not 0 < int(found[1]) < int(found[2]):
            raise SettingError("pattern", text, allowed)
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """``N:M``."""
        return f"{self.kept}:{self.run}"

    @property
    def sparsity(self) -> float:
        """Share of weights that go."""
        return 1 - self.kept / self.run

    def check_widths(self, widths: Iterable[tuple[str, int]]) -> None:
        """Refuse matrices whose inputs are not whole runs.

        Args:
            widths: Name and number of inputs of each matrix.

        Raises:
            SettingError: M does not divide a number of inputs; names the matrix.
        """
        for name, width in widths:
            if width % self.run:
                raise SettingError(
                    "pattern", str(self), f"N:M with an M that divides the {width} inputs of {name} and of every matrix"
                )

    def fits(self, kept: Bool[Tensor, "out in"], order: Int[Tensor, " in"] | None = None) -> bool:
        """Whether no run of a mask keeps more than N weights.

        Args:
            kept: True where a weight is kept.
            order: Columns in the order in which runs are counted; None for the matrix's own.

        Example:
            >>> Pattern(1, 2).fits(torch.tensor([[True, True, False, False]]))
            False
            >>> Pattern(1, 2).fits(torch.tensor([[True, True, False, False]]), torch.tensor([0, 2, 1, 3]))
            True
        """
        ordered = kept if order is None else kept[:, order.to(kept.device)]
        counts = ordered.reshape(kept.shape[0], -1, self.run).sum(-1)
        return bool((counts <= self.kept).all())


def select_pattern_exact(score: Float[Tensor, "out in"], pattern: Pattern) -> Bool[Tensor, "out in"]:
    """Keep the N highest scores of each run; among equals the later ones stay.

    Source: ours; the head of a stable sort goes, as in Wanda's rows. Found by counting, which is four times as fast as
    sorting runs of 4.

    Args:
        score: Finite scores; M divides the number of columns.
        pattern: N and M.

    Example:
        >>> select_pattern_exact(torch.tensor([[3.0, 1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]]), Pattern(2, 4))
        tensor([[ True, False,  True, False],
                [False, False,  True,  True]])
    """
    places = score.reshape(score.shape[0], -1, pattern.run).movedim(-1, 0).contiguous()  # [M, out, runs]
    lower = torch.zeros(places.shape, dtype=torch.int16, device=score.device)  # how many of its run go before each
    for index, place in enumerate(places):
        lower[:index].add_(place < places[:index])
        lower[index + 1 :].add_(place <= places[index + 1 :])
    return (lower >= pattern.run - pattern.kept).movedim(0, -1).reshape(score.shape)


def select_pattern_reference(score: Float[Tensor, "out in"], pattern: Pattern) -> Bool[Tensor, "out in"]:
    """Keep what the published code keeps: ``topk`` of the lowest fp32 scores of each run goes.

    Which of several equal scores ``topk`` takes is torch's affair.

    Source: the code published with arXiv 2306.11695, restated.

    Args:
        score: Scores; M divides the number of columns.
        pattern: N and M.
    """
    runs = score.float().reshape(score.shape[0], -1, pattern.run)
    lowest = runs.topk(pattern.run - pattern.kept, dim=-1, largest=False).indices
    return torch.ones_like(runs, dtype=torch.bool).scatter_(-1, lowest, False).reshape(score.shape)
