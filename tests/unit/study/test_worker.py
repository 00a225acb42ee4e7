"""What failed is tried again by every other run, whatever its clock said."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rich.console import Console

from semprune.artefacts import Cell
from semprune.io.files import write_json
from semprune.study import worker as module
from semprune.study.config.schema import StudyConfig
from semprune.study.worker import FAILED, Worker

CELL = Cell("magnitude", 0.5)


@pytest.fixture
def tried(monkeypatch):
    """Measuring fails; says in which runs it was tried."""
    seen = []

    class Failing:
        def __init__(self, shared, addresses, cell):
            seen.append(cell)

        def run(self):
            raise RuntimeError("no memory")

    monkeypatch.setattr(module, "CellMeasurement", Failing)
    monkeypatch.setattr(module.store, "is_done", lambda addresses, cell: False)
    return seen


@pytest.fixture
def start(tmp_path):
    """Starts a run on one store."""

    def started(run=None):
        config = StudyConfig(methods=["magnitude"], store=str(tmp_path))
        made = Worker(config, None, Console(quiet=True), **({} if run is None else {"run": run}))
        made.__dict__["shared"] = None
        made.__dict__["addresses"] = SimpleNamespace(store=tmp_path, cell=lambda cell: tmp_path / cell.label)
        return made

    return started


def test_a_failure_that_was_recorded_by_a_clock_ahead_is_tried_again(start, tried, tmp_path):
    write_json(tmp_path / CELL.label / FAILED, {"error": "x", "at": "2999-01-01T00:00:00+00:00", "traceback": ""})
    worker = start()
    assert not worker.is_settled(CELL)
    worker.work()
    assert tried == [CELL]
    assert worker.failures()["error"].tolist() == ["RuntimeError: no memory"]


def test_a_failed_cell_is_tried_once_in_a_run_by_all_its_processes_and_again_in_the_next(start, tried):
    first, second = start(), start()
    first.work()
    start(first.run).work()  # another process of the same run
    assert tried == [CELL]
    second.work()
    second.work()
    assert tried == [CELL] * 2
    for worker in (first, second):  # both ran into it, and both say so
        assert worker.is_settled(CELL)
        assert len(worker.failures()) == 1
    assert start().failures().empty
