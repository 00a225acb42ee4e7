"""Prune and measure every cell that is not there yet, draw by draw, and print the table.

python -m benchmarks.guidance --draws 0 1 2 3 4
python -m benchmarks.guidance --draws 0 --table-only
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from benchmarks.attribution.store import Store, address
from benchmarks.guidance.carriers import Carriers
from benchmarks.guidance.measure import Ruler
from benchmarks.guidance.pruning import pruned
from benchmarks.guidance.settings import Cell, Settings
from benchmarks.guidance.tables import table

from semprune import load_backbone

CELLS = (
    Cell("wanda"),
    Cell("wanda", "fisher", 1.0),
    Cell("wanda", "fisher", 1.0, "task"),
    Cell("wanda", "fisher", 0.3),
    Cell("wanda", "fisher", 0.1),
    Cell("wanda", "task", 1.0),
    Cell("wanda", "fisher", 1.0, "both"),
    Cell("wanda", rows="lm"),
    Cell("wanda", "fisher", 0.3, "both"),
    Cell("sparsegpt"),
    Cell("sparsegpt", "fisher", 1.0),
    Cell("sparsegpt", "fisher", 1.0, "both"),
    Cell("sparsegpt", "task", 1.0),
    Cell("wanda", "place", 1.0),
    Cell("wanda", "permuted", 1.0),
    Cell("wanda", "wrong", 1.0),
    Cell("wanda", "fisher", 3.0, "both"),
    Cell("sparsegpt", "fisher", 0.3),
    Cell("sparsegpt", "fisher", 3.0),
    Cell("sparsegpt", rows="lm"),
    Cell("ria"),
    Cell("ria", "fisher", 1.0),
    Cell("wanda", amount="2:4"),
    Cell("wanda", "fisher", 1.0, amount="2:4"),
    Cell("sparsegpt", "place", 1.0),
    Cell("sparsegpt", "permuted", 1.0),
    Cell("sparsegpt", "wrong", 1.0),
    Cell("sparsegpt", amount="2:4"),
    Cell("sparsegpt", "fisher", 1.0, amount="2:4"),
)
"""What is pruned in every draw, the most telling first."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--table-only", action="store_true", help="of what has been measured")
    parser.add_argument("--cells", type=int, default=len(CELLS), help="how many of the list, from its beginning")
    for field in fields(Settings):
        default = getattr(Settings(), field.name)
        kind: Any = type(default[0]) if isinstance(default, tuple) else type(default)
        many: Any = {"nargs": "+"} if isinstance(default, tuple) else {}
        kind = Path if isinstance(default, Path) else kind
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=default, **many)
    asked = parser.parse_args()
    values: Any = {field.name: getattr(asked, field.name) for field in fields(Settings)}
    plain: Any = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    settings = Settings(**plain)
    cells = [replace(cell, draw=draw) for draw in asked.draws for cell in CELLS[: asked.cells]]
    store = Store(settings.output / "measurements.jsonl")
    if not asked.table_only:
        run(store, settings, cells)
    print(page(store, settings, cells))


def run(store: Store, settings: Settings, cells: list[Cell]) -> None:
    """Measure what is not there yet."""
    started, lm = time.perf_counter(), load_backbone(settings.backbone)
    ruler, carriers = Ruler(lm, settings), {}
    store.find_or_make("dense", settings.plain(), ruler.dense)
    for cell in cells:
        if cell.draw not in carriers:
            carriers = {cell.draw: Carriers(lm, settings, cell.draw)}

        def make(cell: Cell = cell, own: Carriers = carriers[cell.draw]) -> dict[str, object]:
            begun = time.perf_counter()
            with pruned(lm, own, cell) as sparsity:
                took = time.perf_counter() - begun
                return ruler.now() | {"sparsity": sparsity, "pruning_seconds": round(took, 1)}

        store.find_or_make("cell", of(settings, cell), make)
        print(f"[{time.perf_counter() - started:7.0f} s] draw {cell.draw}: {cell.name}", flush=True)


def of(settings: Settings, cell: Cell) -> dict[str, object]:
    """What a cell's measurement depends on."""
    return settings.plain() | {"cell": asdict(cell)}


def page(store: Store, settings: Settings, cells: list[Cell]) -> str:
    """The table of what has been measured."""
    dense = store.values.get(address("dense", settings.plain()))
    found = [(cell, store.values.get(address("cell", of(settings, cell)))) for cell in cells]
    measured = [(cell, value) for cell, value in found if value is not None]
    return table(dense, measured) if dense is not None and measured else "nothing has been measured yet"


if __name__ == "__main__":
    main()
