"""What TensorBoard shows of a pruning: sparsity per block as scalars, block by role as a figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from lightning.pytorch.loggers import Logger
from matplotlib.figure import Figure

from semprune.pruning.report import PruneReport
from semprune.types import PrunableMatrix


def sparsity_scalars(report: PruneReport, matrices: Iterable[PrunableMatrix]) -> dict[str, float]:
    """Return the measured sparsity of each block and of all, by the name it is logged under."""
    zeros: dict[int, float] = defaultdict(float)
    sizes: dict[int, int] = defaultdict(int)
    for matrix in matrices:
        size = report.masks[matrix.name].numel()
        zeros[matrix.layer] += report.sparsity[matrix.name] * size
        sizes[matrix.layer] += size
    scalars = {f"sparsity/layers.{layer}": zeros[layer] / sizes[layer] for layer in sorted(sizes)}
    return {**scalars, "sparsity/total": report.total_sparsity}


def sparsity_figure(report: PruneReport, matrices: Iterable[PrunableMatrix]) -> Figure:
    """Return a heatmap of the measured sparsity, blocks down and roles across."""
    named = tuple(matrices)
    roles = list(dict.fromkeys(matrix.role for matrix in named))
    zeros = np.zeros((1 + max(matrix.layer for matrix in named), len(roles)))
    sizes = np.zeros_like(zeros)
    for matrix in named:  # experts of one block share a cell
        cell = matrix.layer, roles.index(matrix.role)
        sizes[cell] += report.masks[matrix.name].numel()
        zeros[cell] += report.sparsity[matrix.name] * report.masks[matrix.name].numel()
    grid = np.divide(zeros, sizes, out=np.full_like(zeros, np.nan), where=sizes > 0)
    figure = Figure(figsize=(2 + 0.6 * len(roles), 2 + 0.2 * len(grid)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(grid, vmin=0, vmax=1, aspect="auto", cmap="viridis")
    axes.set(title=f"{report.method}: measured sparsity", xlabel="matrix", ylabel="layer")
    axes.set_xticks(range(len(roles)), roles)
    figure.colorbar(image, ax=axes, label="share of zeros")
    return figure


def log_sparsity(loggers: Iterable[Logger], report: PruneReport, matrices: Iterable[PrunableMatrix], step: int) -> None:
    """Send scalars to every logger, and the figure to those that take figures."""
    named = tuple(matrices)
    for logger in loggers:
        logger.log_metrics(sparsity_scalars(report, named), step)
        add_figure = getattr(getattr(logger, "experiment", None), "add_figure", None)
        if add_figure is not None:
            add_figure("sparsity/layers_by_matrix", sparsity_figure(report, named), step)
