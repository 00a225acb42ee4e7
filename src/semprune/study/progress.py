"""What a running study says: one line per cell as results come, and TensorBoard's table of hyperparameters."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from semprune.artefacts import Cell
from semprune.study.run_folder import cell_results
from semprune.study.store.addresses import Addresses

HEADLINES = {"accuracy": "accuracy", "auroc": "AUROC"}


class Progress:
    """Prints a line for every cell that is finished.

    Args:
        console: Where lines go.
        addresses: Where results are.
        cells: Number of cells.
        run: Run folder, for TensorBoard.
    """

    def __init__(self, console: Console, addresses: Addresses, cells: int, run: Path) -> None:
        """Nothing is finished yet."""
        self._console, self._addresses, self._cells, self._run = console, addresses, cells, run
        self._done = self._measured = 0
        self._started = time.monotonic()

    def __call__(self, cell: Cell, how: str) -> None:
        """Say that a cell is ``measured``, ``found`` or ``failed``."""
        self._done += 1
        self._measured += how == "measured"
        said = how
        if how != "failed":
            means = headline_drops(cell_results(self._addresses, cell))
            log_cell(self._run, cell, means)
            said = in_words(means) + (" (in the store)" if how == "found" else "")
        left = self._left()
        self._console.print(f"cell {self._done} of {self._cells}: {cell.label}  {said}{left}", soft_wrap=True)

    def _left(self) -> str:
        if not self._measured or self._done >= self._cells:
            return ""
        seconds = (time.monotonic() - self._started) / self._measured * (self._cells - self._done)
        return f", {seconds / 60:.0f} min left" if seconds >= 60 else f", {seconds:.0f} s left"


def headline_drops(results: pd.DataFrame) -> dict[str, float]:
    """Mean drop of accuracy and AUROC in points, over the data sets that have them, and growth of the perplexity.

    Example:
        >>> table = pd.DataFrame({"metric": ["accuracy", "accuracy", "perplexity"], "value": [0.5, 0.7, 30.0],
        ...                       "dense": [0.75, 0.75, 20.0]})
        >>> {name: round(value, 3) for name, value in headline_drops(table).items()}
        {'drop/accuracy': 15.0, 'growth/perplexity': 1.5}
    """
    drops = (100 * (results["dense"] - results["value"])).groupby(results["metric"]).mean()
    found = {f"drop/{name}": float(drops[name]) for name in HEADLINES if name in drops}
    texts = results[results["metric"] == "perplexity"]
    return found | ({"growth/perplexity": float((texts["value"] / texts["dense"]).mean())} if len(texts) else {})


def in_words(means: dict[str, float]) -> str:
    """A cell's headline in a line, with the signs of the tables: what is lost is positive.

    Example:
        >>> in_words({"drop/accuracy": 15.04, "drop/auroc": -0.2, "growth/perplexity": 2.44})
        'drops in points: accuracy 15.0, AUROC -0.2; perplexity x 2.4'
    """
    points = [f"{label} {means[f'drop/{name}']:.1f}" for name, label in HEADLINES.items() if f"drop/{name}" in means]
    grown = [f"perplexity x {means['growth/perplexity']:.1f}"] if "growth/perplexity" in means else []
    return "; ".join([*([f"drops in points: {', '.join(points)}"] if points else []), *grown])


def log_cell(run: Path, cell: Cell, means: dict[str, float]) -> None:
    """Write a cell's settings and headline drops for TensorBoard's HParams page, once per run folder."""
    folder = run / "lightning_logs" / "cells" / cell.label
    if folder.exists():
        return
    with SummaryWriter(str(folder)) as writer:
        writer.add_hparams(cell.columns, means, run_name=".")
