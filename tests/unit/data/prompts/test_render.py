"""Few-shot examples: the harness's layout, seeded, and never of a document that is evaluated."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from semprune.data import load_items
from semprune.data.prompts.render import ShotPicker, render
from semprune.data.registry import DatasetSpec, LabelRule, Prompt, dataset_spec
from semprune.data.rows.examples import Example, build_examples
from semprune.data.rows.splits import read_shots
from semprune.errors import SettingError

SPEC = DatasetSpec(
    name="toy",
    family="topic",
    about="",
    licence="",
    columns=("text", "label", "subject"),
    text=("text",),
    labels=LabelRule("label", classes=("dog", "cat"), values=(0, 1)),
    prompts=(Prompt("ask", "{text} is a", (" dog", " cat"), description="About {subject}.\n\n"),),
    metrics=("accuracy",),
)


def examples(count: int) -> list[Example]:
    rows = [{"text": f"animal {n}", "label": n % 2, "subject": "ab"[n // 2 % 2]} for n in range(count)]
    return build_examples(SPEC, rows)


def test_examples_stand_before_the_item_with_their_answers() -> None:
    first, second, third = examples(3)
    item = render(SPEC, first, SPEC.prompts[0], [second, third])
    context = "About a.\n\nanimal 1 is a cat\n\nanimal 2 is a dog\n\nanimal 0 is a"
    assert item.requests == ((context, " dog"), (context, " cat"))
    assert item.prompt == "ask+2shots"
    assert render(SPEC, first, SPEC.prompts[0]).requests[0] == ("About a.\n\nanimal 0 is a", " dog")


def test_a_prompt_with_contexts_shows_the_right_one() -> None:
    prompt = Prompt("fill", contexts=("a dog {text}", "a cat {text}"), choices=(" barks", " barks"))
    first, second = examples(2)
    item = render(SPEC, first, prompt, [second])
    before = "a cat animal 1 barks\n\n"
    assert item.requests == ((f"{before}a dog animal 0", " barks"), (f"{before}a cat animal 0", " barks"))


def test_more_examples_only_add_and_seeds_choose_others() -> None:
    shown = examples(40)
    few, many = (ShotPicker(SPEC, shown, shots, seed=0)(shown[0]) for shots in (3, 8))
    assert list(many[:3]) == list(few)
    assert ShotPicker(SPEC, reversed(shown), 8, seed=0)(shown[0]) == many
    assert ShotPicker(SPEC, shown, 8, seed=1)(shown[0]) != many


def test_examples_share_the_items_subject() -> None:
    spec = dataclasses.replace(SPEC, shots_within="subject")
    shown = examples(12)
    pick = ShotPicker(spec, shown, 6, seed=0)
    for example in shown:
        assert {shot.columns["subject"] for shot in pick(example)} == {example.columns["subject"]}
    with pytest.raises(SettingError, match="shots must be at most 6, what 'toy' has to show, got 7"):
        ShotPicker(spec, shown, 7, seed=0)(shown[0])


Rows = list[dict[str, Any]]


def serve(monkeypatch: pytest.MonkeyPatch, rows: Rows, training: Rows | None = None) -> None:
    def read_rows(spec: DatasetSpec, source: str = "auto", *, fit: bool = False) -> Rows:
        return (training or []) if fit else rows

    monkeypatch.setattr("semprune.data.rows.splits.read_rows", read_rows)


def pieces(count: int) -> Rows:
    return [{"goal": f"goal {n}", "sol1": f"left {n}", "sol2": f"right {n}", "label": n % 2} for n in range(count)]


def test_a_benchmark_of_one_split_sets_examples_aside_for_runs_that_show_some(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, pieces(300))
    assert len(load_items("piqa")) == 300
    shown, evaluated = read_shots(dataset_spec("piqa"))
    # a tenth of 300: within four standard deviations
    assert abs(len(shown) - 30) < 4 * (300 * 0.1 * 0.9) ** 0.5
    assert {e.example_id for e in shown} | {e.example_id for e in evaluated} == {str(n) for n in range(300)}
    assert not {e.example_id for e in shown} & {e.example_id for e in evaluated}
    items = load_items("piqa", shots=2)
    assert {item.item_id for item in items} == {e.example_id for e in evaluated}
    asked = {f"goal {item.item_id}\n" for item in items}
    prefixes = {item.requests[0][0].rsplit("Question: ", 1)[0] for item in items}
    assert len(prefixes) == 1  # one prefix for all items: it can be computed once
    assert not any(question in prefix for question in asked for prefix in prefixes)
    assert prefixes.pop().count("\n\n") == 2


def test_reserved_documents_are_shown_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": f"{n}_1", "rating": 2.0 - 4 * (n % 2), "text": f"review {n}"} for n in range(100)]
    serve(monkeypatch, rows)
    items, plain = load_items("amazon_reviews", shots=3), load_items("amazon_reviews")
    assert {item.item_id for item in items} == {item.item_id for item in plain}
    assert not any(f"review {item.item_id.split('_')[0]}\n" in items[0].requests[0][0] for item in items[1:])


def test_the_hub_shows_examples_of_its_training_split(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, pieces(5), training=[dict(row, goal=f"training {row['goal']}") for row in pieces(4)])
    items = load_items("piqa", shots=4, source="hub")
    assert len(items) == 5
    assert items[0].requests[0][0].count("Question: training goal") == 4


def test_mmlu_shows_its_development_split(offline: Path) -> None:
    (item,) = load_items("mmlu", shots=1)
    assert item.requests[1] == (
        "The following are multiple choice questions (with answers) about high school biology.\n\n"
        "Which is wet?\nA. sand\nB. stone\nC. rain\nD. dust\nAnswer: C\n\n"
        "Which is a plant?\nA. cup\nB. tea\nC. rain\nD. road\nAnswer:",
        " B",
    )
    with pytest.raises(SettingError, match="at most 1, what 'mmlu' has to show, got 2"):
        load_items("mmlu", shots=2)
    with pytest.raises(SettingError, match="shots must be at least 0, got -1"):
        load_items("mmlu", shots=-1)
