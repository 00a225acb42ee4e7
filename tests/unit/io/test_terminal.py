"""Names and cells that look like markup are printed as they are."""

import io
import sys

from rich.table import Table

from semprune.io.terminal import plain_console, tolerate_any_text


def test_lines_cells_and_titles_are_printed_as_they_are(capsys):
    table = Table("[b]name", title="[/x]")
    table.add_row("a[/b]c :smile:")
    plain_console().print(table)
    plain_console().print("runs/[red]x[/b]")
    said = capsys.readouterr().out
    for text in ("[b]name", "[/x]", "a[/b]c :smile:", "runs/[red]x[/b]"):
        assert text in said


def test_a_name_that_is_no_unicode_is_printed_with_escapes(monkeypatch):
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="ascii"))
    tolerate_any_text()
    plain_console().print("é\udcff")
    sys.stdout.flush()
    assert kept.getvalue() == rb"\xe9\udcff" + b"\n"
