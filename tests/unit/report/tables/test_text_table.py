"""Files of a table whose names are hostile: each format's own reader gets text."""

import csv
import io

import pandas as pd

from semprune.report.tables.text_table import TextTable, files_of

HOSTILE = '=HYPERLINK("http://a")|<b>b</b>\x1b[31m_\\input{x}'


def test_hostile_names_are_text_in_every_format():
    table = pd.DataFrame({"method": [HOSTILE, "wanda"], "drop": [-0.5, 1.0]})
    text = TextTable("", ["method", "drop"], [[HOSTILE, "−50"], ["wanda", "100"]], names=1)
    files = files_of("scores", table, text)
    rows = list(csv.DictReader(io.StringIO(files["scores.csv"])))
    assert [row["method"] for row in rows] == ["'" + HOSTILE.replace("\x1b", r"\x1b"), "wanda"]
    assert [float(row["drop"]) for row in rows] == [-0.5, 1.0]
    line = files["scores.md"].splitlines()[2]
    assert line.count("|") == 3
    assert "<b>" not in line
    assert "\\input" not in files["scores.tex"]
    assert not any("\x1b" in text for text in files.values())


def test_harmless_tables_are_written_as_ever():
    table = pd.DataFrame({"method": ["wanda", "-0.5"], "n": [1, 2], "p": [0.5, None]})
    text = TextTable("", ["method", "p"], [["c4_a", "< 0.001"]], names=1)
    files = files_of("scores", table, text)
    assert files["scores.csv"] == table.to_csv(index=False)
    assert files["scores.md"] == "| method | p |\n| --- | --- |\n| c4_a | < 0.001 |\n"
