"""The grid of a study: which pruned models there are, and which share one calibration pass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from semprune.artefacts import DENSE, UNSTRUCTURED, Cell, split_calibration
from semprune.pruning import find_method
from semprune.pruning.guidance.protection import GENERAL
from semprune.pruning.selection.pattern import Pattern
from semprune.study.config.schema import StudyConfig


def pruned_cells(config: StudyConfig) -> Iterator[Cell]:
    """Every pruned model of a study; methods that look at no data have one calibration, none.

    Cells of one calibration follow each other, so that its dense statistics are gathered once.

    Raises:
        UnknownMethodError: A method is not known.

    Example:
        >>> [cell.method for cell in pruned_cells(StudyConfig(seeds=[0, 1]))]
        ['magnitude', 'wanda', 'wanda']
    """
    shares = [(sparsity, UNSTRUCTURED) for sparsity in config.sparsities]
    shares += [(Pattern.parse(pattern).sparsity, str(pattern)) for pattern in config.patterns]
    calibrated = {method: find_method(method).needs_statistics for method in config.methods}
    for method in (method for method, looks in calibrated.items() if not looks):
        for sparsity, pattern in shares:
            yield Cell(method, sparsity, "", config.seeds[0], pattern)
    for calibration in config.all_calibrations:
        for sequences, length in config.sizes:
            for seed in config.seeds:
                for method in (method for method, looks in calibrated.items() if looks):
                    for sparsity, pattern in shares:
                        cell = Cell(method, sparsity, calibration, seed, pattern, sequences, length)
                        if not _is_unguided(cell):
                            yield cell


def _is_unguided(cell: Cell) -> bool:
    """Whether what a cell protects changes nothing: with a pattern general text has nothing to share out."""
    return split_calibration(cell.calibration)[1] == GENERAL and cell.pattern != UNSTRUCTURED


def in_groups(cells: list[Cell]) -> list[list[Cell]]:
    """Split cells where the calibration sequences change.

    Example:
        >>> cells = list(pruned_cells(StudyConfig(methods=["magnitude", "wanda", "ria"], seeds=[0, 1])))
        >>> [[cell.method for cell in group] for group in in_groups(cells)]
        [['magnitude'], ['wanda', 'ria'], ['wanda', 'ria']]
    """
    return [list(group) for _, group in groupby(cells, key=lambda cell: cell.draw)]


def stated(cell: Cell, config: StudyConfig) -> list[Cell]:
    """As which cells a computed one is stated in a study's tables.

    A method that looks at no data is computed once and stated for every calibration set (with the first seed and size):
    its figures are the same for each. The column ``calibrated`` tells those rows from others.

    Example:
        >>> config = StudyConfig(calibrations=["c4", "wiki"])
        >>> [each.calibration for each in stated(Cell("magnitude", 0.5), config)]
        ['c4', 'wiki']
    """
    if cell.method == "dense" or cell.calibration:
        return [cell]
    sequences, length = config.sizes[0]
    return [
        Cell(cell.method, cell.sparsity, name, config.seeds[0], cell.pattern, sequences, length)
        for name in config.calibrations
    ]


def all_cells(config: StudyConfig) -> Iterator[Cell]:
    """The dense model, then every pruned one."""
    yield DENSE
    yield from pruned_cells(config)
