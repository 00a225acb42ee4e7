"""Hostile text stays text for the three readers that it could command."""

import csv
import io

import pandas as pd
import pytest

from semprune.io.safe_text import markdown_cell, printable, spreadsheet


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x1b[2J\x1b[1;1H", r"\x1b[2J\x1b[1;1H"),
        ("a\rb", r"a\rb"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202eexe.txt", r"\u202eexe.txt"),
        ("line\nand\ttab, é 日本 😀", "line\nand\ttab, é 日本 😀"),
    ],
)
def test_control_characters_are_written_out_and_nothing_else_changes(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\n", "＝"])
def test_no_cell_of_a_spreadsheet_begins_like_a_formula(sign):
    table = pd.DataFrame({f"{sign}head": [f"{sign}cmd|' /C calc'!A0", "c4"], "drop": [-1.5, 2.0]})
    read = list(csv.reader(io.StringIO(spreadsheet(table).to_csv(index=False), newline="")))
    assert read[0] == [f"'{sign}head", "drop"]
    assert [row[0] for row in read[1:]] == [f"'{sign}cmd|' /C calc'!A0", "c4"]
    assert [float(row[1]) for row in read[1:]] == [-1.5, 2.0]


def test_a_carriage_return_begins_no_cell():
    written = spreadsheet(pd.DataFrame({"a": ["x\r=cmd()", "\r=cmd()"]})).to_csv(index=False)
    assert written == "a\nx\\r=cmd()\n\\r=cmd()\n"


def test_numbers_and_texts_that_are_numbers_stay_and_the_table_given_too():
    table = pd.DataFrame({"mixed": [-1, "-2.5", "+3", "-inf", "-x", None], "flag": [True, False] * 3})
    assert spreadsheet(table)["mixed"].tolist() == [-1, "-2.5", "+3", "-inf", "'-x", None]
    assert table["mixed"].tolist() == [-1, "-2.5", "+3", "-inf", "-x", None]
    pd.testing.assert_frame_equal(spreadsheet(table[["flag"]]), table[["flag"]])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>x</script>", "&lt;script>x&lt;/script>"),
        ("<img src=x>|a\\|b", "&lt;img src=x>&#124;a\\&#124;b"),
        ("<!-- &lt; -->", "&lt;!-- &amp;lt; -->"),
        ("![a](http://b/c.png)", "![a]\\(http://b/c.png)"),
        ("two\nlines\x1b[0m", r"two lines\x1b[0m"),
        ("p < 0.001 & [0.3, 0.5] a_b", "p < 0.001 & [0.3, 0.5] a_b"),
    ],
)
def test_a_cell_of_a_markdown_table_is_text(text, shown):
    assert markdown_cell(text) == shown
