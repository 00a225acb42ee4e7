"""A process that works at a study: it prepares what all cells share, then measures every cell that nobody else does."""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from semprune.artefacts import DENSE, Cell
from semprune.backbones import Backbone
from semprune.io.files import write_json
from semprune.study.association import check_causally, fitted_module
from semprune.study.cell.measure import CellMeasurement
from semprune.study.cell.shared import SharedInputs, to_device
from semprune.study.cell.study_data import StudyData
from semprune.study.config.grid import in_groups, pruned_cells
from semprune.study.config.schema import StudyConfig
from semprune.study.store import store
from semprune.study.store.addresses import Addresses
from semprune.study.store.store import claim

FAILED = "failed.json"
WAITING_SECONDS = 0.5

Told = Callable[[Cell, str], None]
"""Hears of a cell: ``measured``, ``found`` (in the store) or ``failed``."""


@dataclass
class Worker:
    """Works at a study, alone or beside others on the same store.

    Attributes:
        config: The study.
        lm: Its model, loaded.
        console: Where progress goes.
        told: Hears of every cell that is finished, whoever measured it.
        reads_only: Whether the data is only read: what screening has not scored yet is then not scored.
        run: Names the run, whose processes share it; cells that failed in other runs are tried again.
    """

    config: StudyConfig
    lm: Backbone
    console: Console
    told: Told = lambda cell, how: None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    reads_only: bool = False
    _told: set[Cell] = field(default_factory=set)

    @cached_property
    def addresses(self) -> Addresses:
        """Where everything is."""
        return Addresses.of(self.config, self.lm, self.data)

    @cached_property
    def data(self) -> StudyData:
        """What is measured on."""
        return StudyData(self.config, self.lm, self.reads_only)

    @cached_property
    def shared(self) -> SharedInputs:
        """What all cells share; fitted by the first process that asks for it, others wait."""
        folder = self.addresses.fit
        with claim(folder.with_suffix(".fit.lock"), wait=True):
            module = fitted_module(self.config, self.lm, folder, Path(self.config.output))
        to_device(self.lm, module)
        return SharedInputs(self.config, self.lm, module, self.data)

    def causal(self) -> Path | None:
        """The causal check's table, made by the first process that asks for it."""
        folder = self.addresses.fit
        with claim(folder.with_suffix(".causal.lock"), wait=True):
            text = self.data.text_windows
            return check_causally(self.config, self.lm, self.shared.association, text, folder, self.console)

    def dense(self) -> None:
        """Measure the dense model first: everything is compared with it.

        Raises:
            SempruneError: Of the kind of what went wrong; without it there is no study.
        """
        with claim(self._lock(DENSE), wait=True):
            if not store.is_done(self.addresses, DENSE):
                store.require_writable(self.addresses.cell(DENSE))
                CellMeasurement(self.shared, self.addresses, DENSE).run()

    def work(self, chosen: list[int] | None = None) -> None:
        """Measure cells until every one is finished or has failed.

        Groups of cells that share calibration sequences are taken whole as long as there are such that nobody works
        at; then cells are taken wherever they are left.

        Args:
            chosen: Numbers of the groups to work at; None for all.
        """
        groups = in_groups(list(pruned_cells(self.config)))
        if chosen is not None:
            groups = [groups[number] for number in chosen]
        left = []
        for group in groups:
            with claim(self.addresses.store / "groups" / f"{self.addresses.cell(group[0]).name}.lock") as alone:
                left += [cell for cell in group if not (alone and self._attempt(cell))]
        while left := [cell for cell in left if not self._attempt(cell)]:
            time.sleep(WAITING_SECONDS)  # others work at them; where one dies, its claim is free

    def failures(self) -> pd.DataFrame:
        """Cells that failed in this run, with their errors."""
        found = ((cell, self._failure(cell)) for cell in pruned_cells(self.config))
        rows = [cell.columns | {"error": about["error"]} for cell, about in found if about]
        return pd.DataFrame(rows, columns=[*DENSE.columns, "error"])

    def hear(self, told: list[tuple[Cell, str]]) -> None:
        """Pass on what another process says of cells."""
        for cell, how in told:
            self._tell(cell, how)

    def _tell(self, cell: Cell, how: str) -> None:
        """Tell of each cell once."""
        if cell not in self._told:
            self._told.add(cell)
            self.told(cell, how)

    def _attempt(self, cell: Cell) -> bool:
        """Settle a cell; False where another process works at it."""
        if self.is_settled(cell):
            self._tell(cell, "failed" if self._failure(cell) else "found")
            return True
        with claim(self._lock(cell)) as mine:
            if not mine:
                return False
            if not self.is_settled(cell):  # another may just have finished
                self.measure(cell)
        return True

    def measure(self, cell: Cell) -> None:
        """Measure a cell, whoever else may; what goes wrong is recorded in its folder."""
        failed = self.addresses.cell(cell) / FAILED
        store.require_writable(failed.parent)
        try:
            CellMeasurement(self.shared, self.addresses, cell).run()
        except Exception as error:  # whatever it is: recorded, and the rest goes on
            what = f"{type(error).__name__}: {error}"
            # other runs on this store may have failed here too, and still want to say so
            runs = [*store.read_json(failed).get("runs", []), self.run]
            write_json(failed, {"error": what, "runs": runs, "traceback": traceback.format_exc()})
            self._tell(cell, "failed")
            return
        failed.unlink(missing_ok=True)
        self._tell(cell, "measured")

    def is_settled(self, cell: Cell) -> bool:
        """Whether a cell is finished, or has failed in this run."""
        return store.is_done(self.addresses, cell) or bool(self._failure(cell))

    def _failure(self, cell: Cell) -> dict[str, Any]:
        """What went wrong with a cell in this run, whatever clocks say; empty where nothing did."""
        about = store.read_json(self.addresses.cell(cell) / FAILED)
        return about if self.run in about.get("runs", []) else {}

    def _lock(self, cell: Cell) -> Path:
        folder = self.addresses.cell(cell)
        return folder.with_name(f"{folder.name}.lock")  # with_suffix would cut at the point in the sparsity
