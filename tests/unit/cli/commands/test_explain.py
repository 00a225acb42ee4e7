"""Tables of the explorer in a terminal of ordinary width."""

from __future__ import annotations

import io

import pandas as pd
from rich.console import Console

from semprune.cli.commands.explain import _frame


def test_names_stay_whole_and_prose_stays_visible_in_80_columns():
    row = {"neuron": "layers.22.mlp/1470", "class": "specific", "strength": 2.6, "effect": 0.4641, "t": 14.62,
           "q": 1.7e-27, "rho": 0.413, "writes": "' vantage' ' tactics' ' tectonics'"}  # fmt: skip
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(_frame(pd.DataFrame([row]), "strongest"))
    text = console.export_text()
    assert "layers.22.mlp/1470" in text
    assert all(word in text for word in ("vantage", "tactics", "tectonics"))


def test_no_figure_of_a_wide_frame_is_cropped():
    figures = {f"measure_{place}": 1.98e-10 * place for place in range(1, 11)}
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(_frame(pd.DataFrame([{"neuron": "layers.22.mlp/1470", **figures}]), "strongest"))
    shown = console.export_text().split()
    assert [figure for figure in figures.values() if f"{figure:.3g}" not in shown] == []
