"""Rules that turn rows into examples."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from semprune.data.prompts.render import find_prompt, first_words, render
from semprune.data.registry import DatasetSpec, DocumentRule, DropRule, LabelRule, Prompt
from semprune.data.rows.examples import build_examples, normalise, right_choice
from semprune.errors import DatasetSchemaError, UnknownPromptError

SPEC = DatasetSpec(
    name="toy",
    family="topic",
    about="",
    licence="",
    columns=("id", "text", "label"),
    text=("text",),
    labels=LabelRule("label", classes=("dog", "cat"), values=(["d", "D"], "c")),
    prompts=(Prompt("ask", "{text} is a", (" dog", " cat")), Prompt("other", "{text}?", (" dog", " cat"))),
    metrics=("accuracy",),
)


def rows(*triples: tuple[str, str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(("id", "text", "label"), triple, strict=True)) for triple in triples]


def test_row_numbers_identify_rows_before_any_is_dropped() -> None:
    spec = dataclasses.replace(SPEC, drop=(DropRule("text", "advertising", contains="SPAM"),))
    examples = build_examples(spec, rows(("x", "SPAM offer", "d"), ("y", "barks", "D"), ("z", "purrs", "c")))
    assert [(example.example_id, example.label) for example in examples] == [("1", 0), ("2", 1)]


def test_documents_are_what_stands_before_the_mark() -> None:
    spec = dataclasses.replace(SPEC, id="id", document=DocumentRule("id", "_"))
    examples = build_examples(spec, rows(("9_1", "barks", "d"), ("9_2_b", "purrs", "c")), prefix="fit-")
    assert [(e.example_id, e.document_id) for e in examples] == [("fit-9_1", "fit-9"), ("fit-9_2_b", "fit-9")]


def test_the_first_of_equal_texts_is_kept() -> None:
    spec = dataclasses.replace(SPEC, deduplicate=True)
    examples = build_examples(spec, rows(("1", "It barks!", "d"), ("2", "it  BARKS", "c"), ("3", "it barked", "d")))
    assert [example.example_id for example in examples] == ["0", "2"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("1", " ", "d"), "row 0: column 'text' holds ' ', no text"),
        (("1", None, "d"), "row 0: column 'text' holds None, no text"),
        (("1", "barks", "e"), "label 'e' in column 'label' is none of"),
    ],
)
def test_rows_that_hold_something_else_are_errors(row: tuple[str, Any, str], message: str) -> None:
    with pytest.raises(DatasetSchemaError, match=message):
        build_examples(SPEC, rows(row))


def test_an_identifier_that_is_not_unique_is_an_error() -> None:
    with pytest.raises(DatasetSchemaError, match="column 'id' is not unique"):
        build_examples(dataclasses.replace(SPEC, id="id"), rows(("1", "barks", "d"), ("1", "purrs", "c")))


def test_keys_are_looked_up_among_the_rows_own() -> None:
    rule = LabelRule("answer", keys="choices[label]")
    assert right_choice("toy", rule, {"answer": "3", "choices": {"label": ["1", "2", "3"]}}) == 2
    with pytest.raises(DatasetSchemaError, match="label 'C'"):
        right_choice("toy", rule, {"answer": "C", "choices": {"label": ["1", "2", "3"]}})


def test_a_rating_that_is_no_number_is_an_error() -> None:
    rule = LabelRule("rating", classes=("negative", "positive"), sign_minimum=1.0)
    assert right_choice("toy", rule, {"rating": "-1.0"}) == 0
    with pytest.raises(DatasetSchemaError, match="rating 'n/a' in column 'rating' is no number"):
        right_choice("toy", rule, {"rating": "n/a"})


def test_a_grade_is_kept_beside_its_side_of_the_threshold() -> None:
    spec = dataclasses.replace(SPEC, labels=LabelRule("label", classes=("low", "high"), threshold=3.0))
    made = build_examples(spec, rows(("1", "a", "2.99"), ("2", "b", "3"), ("3", "c", 5.0)))
    assert [(example.label, example.grade) for example in made] == [(0, 2.99), (1, 3.0), (1, 5.0)]
    assert render(spec, made[0], spec.prompts[0]).grade == 2.99
    for wrong in ("high", "nan", None):
        with pytest.raises(DatasetSchemaError, match="in column 'label' is no number"):
            build_examples(spec, rows(("1", "a", wrong)))


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (DropRule("text", "r", matches="^b.*[0-9]"), ["0", "2", "3"]),
        (DropRule("label", "r", values=("c", -1)), ["0", "1"]),
        (DropRule("text", "r", contains=" "), ["0", "1", "2", "3"]),
        (DropRule("loud", "r", contains="PURRS"), ["0", "1"]),
    ],
)
def test_rows_are_dropped_by_text_pattern_or_value(rule: DropRule, kept: list[str]) -> None:
    spec = dataclasses.replace(SPEC, drop=(rule,), derive={"loud": "text.upper()"})
    made = build_examples(spec, rows(("", "a1", "d"), ("", "b1", "D"), ("", "purrs", "c"), ("", "1purrs", "c")))
    assert [example.example_id for example in made] == kept


def test_a_row_without_text_can_be_dropped_by_its_label() -> None:
    spec = dataclasses.replace(SPEC, drop=(DropRule("label", "unlabelled", values=(-1,)),))
    assert [e.example_id for e in build_examples(spec, rows(("", None, -1), ("", "barks", "d")))] == ["1"]


def test_a_whole_column_can_name_the_document() -> None:
    spec = dataclasses.replace(SPEC, document=DocumentRule("id"))
    assert [e.document_id for e in build_examples(spec, rows(("a~1", "barks", "d")))] == ["a~1"]


def test_normalised_texts_differ_in_words_only() -> None:
    assert normalise("Crème-brûlée, 2 of_them…") == "crème brûlée 2 of them"


def test_prompts_are_found_by_name() -> None:
    assert find_prompt(SPEC, None).name == "ask"
    assert find_prompt(SPEC, "other").context == "{text}?"
    with pytest.raises(UnknownPromptError, match="unknown prompt 'othr'; did you mean 'other'"):
        find_prompt(SPEC, "othr")


def test_braces_in_a_text_are_text() -> None:
    (example,) = build_examples(SPEC, rows(("1", "{label} {0} {{", "c")))
    assert render(SPEC, example, SPEC.prompts[0]).requests[0] == ("{label} {0} {{ is a", " dog")


def test_long_texts_are_cut_in_prompts_only() -> None:
    spec = dataclasses.replace(SPEC, max_words={"text": 2})
    (example,) = build_examples(spec, rows(("1", "one\n two three", "c")))
    assert render(spec, example, spec.prompts[0]).requests[1] == ("one\n two is a", " cat")
    assert example.text(spec) == "one\n two three"
    assert first_words("one two", 2) == "one two"


def test_a_prompt_that_does_not_fit_the_row_is_an_error() -> None:
    (example,) = build_examples(SPEC, rows(("1", "barks", "c")))
    with pytest.raises(DatasetSchemaError, match="prompt 'bad' cannot be filled"):
        render(SPEC, example, Prompt("bad", "{text[no]}", (" dog", " cat")))
    with pytest.raises(DatasetSchemaError, match="has 1 choices, no choice 1"):
        render(SPEC, example, Prompt("few", "{text}", (" dog",)))
