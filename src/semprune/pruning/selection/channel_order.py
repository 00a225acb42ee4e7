"""Which inputs share a run: an order of a matrix's columns under which an N:M pattern loses less."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from semprune.pruning.selection.pattern import Pattern


def snake_order(score: Float[Tensor, "out in"], pattern: Pattern, *, stable: bool = True) -> Int[Tensor, " in"]:
    """Deal columns, sorted by their summed score, into M bands, every second one backwards; a run takes one of each.

    So no run holds only important columns, and no run only unimportant ones.

    Source: equations.md P3 (Plug-and-Play, ICLR 2024), heuristic channel reallocation by summed score.

    Args:
        score: Scores of the weights; M divides the number of columns.
        pattern: N and M.
        stable: Whether columns of equal sums keep their order; False leaves it to torch, as the published code does.

    Returns:
        The columns in their new order: position i of the pattern is column ``order[i]``.

    Example:
        >>> snake_order(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), Pattern(1, 2))
        tensor([0, 3, 1, 2])
    """
    bands = score.sum(0).sort(stable=stable).indices.reshape(pattern.run, -1)  # [M, runs]
    bands[1::2] = bands[1::2].flip(1)
    return bands.t().reshape(-1)


def assigned_order(score: Float[Tensor, "out in"], order: Int[Tensor, " in"], pattern: Pattern) -> Int[Tensor, " in"]:
    """Exchange columns between runs so that the kept scores sum to more: one place of the runs after the other.

    Source: equations.md P3 (Plug-and-Play, ICLR 2024), the refinement by linear sum assignment.

    Args:
        score: Scores of the weights.
        order: Columns to start from, as :func:`snake_order` gives.
        pattern: N and M.
    """
    runs = order.reshape(-1, pattern.run)
    for place in range(pattern.run):
        runs = exchanged(score, runs, place, pattern)
    return runs.reshape(-1)


def exchanged(
    score: Float[Tensor, "out in"], runs: Int[Tensor, "runs M"], place: int, pattern: Pattern
) -> Int[Tensor, "runs M"]:
    r"""Return the runs with the columns in one place exchanged in the best way; they never keep less than before.

    With the other M - 1 columns of run g fixed, and :math:`t_{og}` the N-th highest of their scores in row o, a column
    c in the free place adds :math:`\sum_o \max(0, S_{oc} - t_{og})` to what is kept: the best one-to-one choice is a
    linear sum assignment. The published code sorts M scores for each pair of run and column instead; what it computes
    differs from the sum above by a constant per run, which no assignment sees.

    Args:
        score: Scores of the weights.
        runs: Columns of each run.
        place: Which column of each run may move.
        pattern: N and M.
    """
    others = torch.cat([runs[:, :place], runs[:, place + 1 :]], dim=1)
    fixed = score[:, others].float()  # [out, runs, M - 1]
    threshold = fixed.topk(pattern.kept, dim=-1).values[..., -1]  # [out, runs]
    candidates = score[:, runs[:, place]].float()  # [out, runs]
    gain = torch.stack([(candidates - column).clamp_(min=0).sum(0) for column in threshold.t().unsqueeze(-1)])
    _, best = linear_sum_assignment(gain.cpu().double().numpy(), maximize=True)
    found = runs.clone()
    found[:, place] = runs[torch.from_numpy(best).to(runs.device), place]
    return found
