"""Optimal brain surgeon, column by column: weights go, and the columns to their right make up for them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from semprune.backbones.hardware import full_fp32
from semprune.errors import NotPositiveDefiniteError
from semprune.pruning.selection.keep import Keep, pruned_count, select_lowest

STEP = 16
"""Columns that are updated one by one before the rest of their block is, by one product; the fastest of 8 to 32."""


class Choice:
    """Which weights stay, asked from left to right as the sweep proceeds.

    Attributes:
        run: Columns that are chosen together when the first of them is reached; 0 where whole blocks are chosen.

    Args:
        keeps: What was asked for, of each matrix; one selection and pattern for all of them.
        rows: Rows of each matrix, where several lie one below the other; every matrix is chosen by itself.
    """

    def __init__(self, keeps: Sequence[Keep], rows: Sequence[int]) -> None:
        """Nothing is chosen yet."""
        self._keeps, keep = list(keeps), keeps[0]
        self._keep = keep
        self._rows = list(rows)
        self._gone = [0] * len(rows)
        self.run = 0 if keep.pattern is None else keep.pattern.run

    def step(self, block: int) -> int:
        """Return how many columns of a block are updated one by one: whole runs; in reference selection all of them."""
        return block if self._keep.reference else max(STEP // self.run * self.run, self.run) if self.run else STEP

    def of_block(self, losses: Float[Tensor, "out columns"], stop: int) -> Bool[Tensor, "out columns"]:
        """Return what stays of a block whose last column is ``stop - 1``."""
        parts = losses.split(self._rows)
        return torch.cat([self._of_matrix(index, part, stop) for index, part in enumerate(parts)])

    def of_run(self, losses: Float[Tensor, "out run"]) -> Bool[Tensor, "out run"]:
        """Return what stays of a run."""
        return self._keep(losses, "row")

    def _of_matrix(self, index: int, losses: Tensor, stop: int) -> Tensor:
        if self._keep.reference:
            return self._keep(losses, "matrix")
        keep = self._keeps[index]
        losses = keep.comparable(losses, degree=2)
        # so many that all columns so far hold the asked number exactly, whatever the blocks' sizes
        count = pruned_count(keep.sparsity, losses.shape[0] * stop) - self._gone[index]
        self._gone[index] += count
        return ~select_lowest(losses.reshape(1, -1), count).reshape(losses.shape)


@full_fp32()
def inverse_factor(
    moments: Float[Tensor, "in in"], damping: float, matrix: str, *, published_mean: bool = False
) -> tuple[Float[Tensor, "in in"], Bool[Tensor, " in"]]:
    r"""Return the upper Cholesky factor of the damped inverse, and which inputs are dead.

    .. math:: U^\top U = (H + \lambda I)^{-1}, \quad \lambda = \text{damping} \cdot \text{mean}(\operatorname{diag} H)

    An input that is always 0 is dead; its diagonal element is set to 1 first.

    Source: equations.md P4 (arXiv 2301.00774), in fp32 and the order of the published code.

    Args:
        moments: H, symmetric; left as it is.
        damping: Share of the mean diagonal that is added to it.
        matrix: Name of the matrix, for the error.
        published_mean: Round the mean of the diagonal as the published code does, which takes it of a copy. A mean over
            the strided view sums in another order; one bit of it moves hundreds of thousands of weights downstream.

    Raises:
        NotPositiveDefiniteError: A Cholesky factorisation fails, or the factor is not finite.

    Example:
        >>> inverse_factor(torch.diag(torch.tensor([4.0, 0.0])), 0.0, "w")
        (tensor([[0.5000, -0.0000],
                [0.0000, 1.0000]]), tensor([False,  True]))
    """
    damped = moments.clone()
    diagonal = damped.diagonal()
    dead = diagonal == 0
    diagonal[dead] = 1
    diagonal += damping * (diagonal.contiguous() if published_mean else diagonal).mean()
    lower, failed = torch.linalg.cholesky_ex(damped)
    if failed:
        raise NotPositiveDefiniteError(matrix, damping)
    upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
    if failed or not upper.isfinite().all():
        raise NotPositiveDefiniteError(matrix, damping)
    return upper, dead


@full_fp32()
def sweep(
    weight: Float[Tensor, "out in"], upper: Float[Tensor, "in in"], block: int, choice: Choice
) -> Bool[Tensor, "out in"]:
    r"""Prune a weight in place from left to right, and return which of its entries are kept.

    For each column j: pruned entries become 0, and with :math:`e = (w_j - q_j) / U_{jj}` every later column k loses
    :math:`e\,U_{jk}`: a few columns on at once, to the end of the block when these few are done, beyond it when the
    block is done; the latter two by one product each.

    Source: equations.md P4 (arXiv 2301.00774). In reference selection with the rounding of the published code, which
    updates the whole block column by column.

    Args:
        weight: fp32; overwritten.
        upper: From :func:`inverse_factor`.
        block: Columns per block.
        choice: Is asked what stays.
    """
    finished = torch.empty_like(weight.t(), memory_format=torch.contiguous_format)  # [in, out]: a column lies together
    kept = torch.empty_like(finished, dtype=torch.bool)
    for start in range(0, weight.shape[1], block):
        stop = min(start + block, weight.shape[1])
        columns = _transposed(weight[:, start:stop])
        gone, errors = _sweep_block(columns, upper[start:stop, start:stop], choice, stop)
        finished[start:stop] = columns
        torch.eq(gone, 0, out=kept[start:stop])
        weight[:, stop:].sub_(_transposed(errors) @ upper[start:stop, stop:])
    weight.copy_(finished.t())
    return _transposed(kept)


def _transposed(tensor: Tensor) -> Tensor:
    """Return a transposed copy; torch is quick at it only from one whole matrix to another."""
    return tensor.contiguous().t().contiguous()


def _sweep_block(columns: Tensor, corner: Tensor, choice: Choice, stop: int) -> tuple[Tensor, Tensor]:
    """Prune the columns of a block in place; return where (1, else 0) and the errors, both ``[columns, out]``."""
    width = columns.shape[0]
    gone, errors = torch.zeros_like(columns), torch.empty_like(columns)
    if not choice.run:
        gone.copy_(_transposed(~choice.of_block(_losses(columns, corner, 0, width).contiguous(), stop)))
    step = choice.step(width)
    for first in range(0, width, step):
        last = min(first + step, width)
        _sweep_step(columns, corner, choice, (gone, errors), (first, last))
        if last < width:
            columns[last:].sub_(corner[first:last, last:].t() @ errors[first:last])
    return gone, errors


def _sweep_step(
    columns: Tensor, corner: Tensor, choice: Choice, gone_and_errors: tuple[Tensor, Tensor], step: tuple[int, int]
) -> None:
    """Prune some columns of a block, each before the next; those right of them are left as they are."""
    (gone, errors), (first, last) = gone_and_errors, step
    pivots = corner.diagonal().unbind(0)
    removed, product = (torch.empty_like(columns[first:last]) for _ in range(2))
    for index in range(first, last):
        if choice.run and index % choice.run == 0:
            end = index + choice.run
            gone[index:end] = ~choice.of_run(_losses(columns, corner, index, end)).t()
        error, rest = errors[index], last - index - 1
        torch.mul(columns[index], gone[index], out=removed[index - first])
        torch.div(removed[index - first], pivots[index], out=error)
        if rest:
            torch.mul(corner[index, index + 1 : last].unsqueeze(1), error, out=product[:rest])
            columns[index + 1 : last].sub_(product[:rest])  # `x[i] -= y` would copy `x[i]` onto itself, too
    columns[first:last].sub_(removed)


def _losses(columns: Tensor, corner: Tensor, start: int, stop: int) -> Float[Tensor, "out columns"]:
    """Return what pruning each entry alone would cost: its square over the squared Cholesky diagonal."""
    return (columns[start:stop] ** 2 / corner.diagonal()[start:stop].unsqueeze(1) ** 2).t()
