"""Columns computed by expressions: values only, in order, and errors by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprune.data.registry.derive import derive_columns, expression_columns
from semprune.errors import DatasetSchemaError


def test_later_columns_read_earlier_ones_and_keep_their_types() -> None:
    derive = {"stem": "text.strip()", "end": "stem[-1]", "parts": "stem | replace('a', 'A') | list", "n": "3"}
    made = derive_columns("toy", {"text": " abc "}, derive)
    assert made == {"text": " abc ", "stem": "abc", "end": "c", "parts": ["A", "b", "c"], "n": 3}


def test_sub_is_a_regular_expression() -> None:
    made = derive_columns("toy", {"text": "a [b] c [d]"}, {"clean": r"text | sub('\\[.*?\\]', '')"})
    assert made["clean"] == "a  c "


@given(st.text())
def test_texts_are_values_and_never_templates(text: str) -> None:
    assert derive_columns("toy", {"text": text}, {"copy": "text"})["copy"] == text
    made = derive_columns("toy", {"text": "{{ 7 * 7 }}" + text}, {"joined": "text ~ '.'"})
    assert made["joined"] == "{{ 7 * 7 }}" + text + "."


@pytest.mark.parametrize(
    ("expression", "row"),
    [
        ("missing ~ ''", {"text": "a"}),
        ("text.nothing", {"text": "a"}),
        ("text.index('_')", {"text": "a"}),
        ("{'x': 1}[text]", {"text": "y"}),
        ("text[0].lower()", {"text": ""}),
        ("text.strip()", {"text": None}),
        ("text.__class__.__mro__", {"text": "a"}),  # the sandbox gives nothing of Python's insides
    ],
)
def test_an_expression_that_fails_on_a_row_names_its_column(expression: str, row: dict[str, object]) -> None:
    with pytest.raises(DatasetSchemaError, match="data set 'toy': derived column 'new' fails on a row"):
        derive_columns("toy", row, {"new": expression})


def test_columns_of_an_expression_are_found() -> None:
    assert expression_columns("a ~ b[0] ~ 'c' ~ {'d': e}[f]") == {"a", "b", "e", "f"}
