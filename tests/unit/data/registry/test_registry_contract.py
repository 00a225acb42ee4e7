"""Every YAML of the registry, from rows as its source keeps them to the requests that a model is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from semprune.data.prompts.render import find_prompt, render
from semprune.data.registry import calibration_names, calibration_spec, dataset_names, dataset_spec
from semprune.data.rows.examples import build_examples
from semprune.data.rows.sources import Source, read_rows, read_text
from semprune.data.rows.splits import keep_back, read_split
from semprune.evaluation.metrics import METRICS

Written = Callable[[str], dict[str, Any]]
WITH_HUB = [name for name in dataset_names() if dataset_spec(name).hub is not None]
WITH_PACKAGE = [name for name in dataset_names() if dataset_spec(name).offline is not None]


def test_every_data_set_has_fixture_rows_and_no_fixture_is_left_over() -> None:
    fixtures = sorted(path.stem for path in (Path(__file__).parents[1] / "fixtures").glob("*.yaml"))
    assert fixtures == dataset_names()


def check(name: str, source: Source, fixture: dict[str, Any]) -> None:
    spec = dataset_spec(name)
    examples = build_examples(spec, read_rows(spec, source))
    assert len(examples) == fixture["examples"]
    by_id = {example.example_id: example for example in examples}
    expected = [entry for entry in fixture["expected"] if entry.get("source", source) == source]
    assert expected, f"write what a row of {name} must become, for source {source}"
    for entry in expected:
        item = render(spec, by_id[entry["id"]], find_prompt(spec, None))
        contexts = entry.get("contexts") or [entry["context"]] * len(entry["continuations"])
        assert item.requests == tuple(zip(contexts, entry["continuations"], strict=True))
        assert (item.label, item.document_id, item.dataset) == (entry["label"], entry["document"], name)
        assert item.grade == entry.get("grade")


@pytest.mark.parametrize("name", WITH_HUB)
def test_hub_rows_become_the_written_items(name: str, hub: Callable[[str], None], written: Written) -> None:
    hub(name)
    check(name, "hub", written(name))


@pytest.mark.parametrize("name", WITH_PACKAGE)
def test_package_rows_become_the_written_items(name: str, offline: Path, written: Written) -> None:
    check(name, "offline", written(name))


@pytest.mark.parametrize("name", dataset_names())
def test_prompts_and_metrics_can_be_used(name: str) -> None:
    spec = dataset_spec(name)
    assert set(spec.metrics) <= set(METRICS)
    for prompt in spec.prompts:
        # A harness reads the answer after the context: contexts end without blanks, choices begin with one.
        contexts = prompt.contexts or (prompt.context,)
        assert all(context == context.rstrip() for context in contexts)
        assert all(choice.startswith(" ") or contexts == ("",) for choice in prompt.choices)


@pytest.mark.parametrize("name", dataset_names())
def test_results_do_not_hang_on_one_wording(name: str, written: Written) -> None:
    spec = dataset_spec(name)
    if spec.family == "reasoning":
        return  # the field's harness has one wording for each of these
    fixture = written(name)
    source: Source = "hub" if "hub" in fixture else "offline"
    assert len(spec.prompts) >= 3
    # Renamed as the sources do, since the rows here do not pass through one.
    place = spec.hub if source == "hub" else spec.offline
    assert place is not None
    rows = [{place.rename.get(key, key): value for key, value in row.items()} for row in fixture[source]]
    example = build_examples(spec, rows)[0]
    asked = [render(spec, example, prompt) for prompt in spec.prompts]
    assert len({item.requests for item in asked}) == len(spec.prompts)
    assert len({item.prompt for item in asked}) == len(spec.prompts)


def test_the_24_data_sets_are_there_in_four_families() -> None:
    offline = [name for name in WITH_PACKAGE if name not in ("sciq", "mmlu")]
    assert Counter(dataset_spec(name).family for name in offline) == {
        "sentiment": 6,
        "similarity": 5,
        "reasoning": 10,
        "topic": 3,
    }
    assert {name for name in dataset_names() if dataset_spec(name).non_commercial} == {"sciq", "anli", "wic"}


@pytest.mark.parametrize("name", WITH_PACKAGE)
def test_what_is_screened_is_never_evaluated_or_fitted_on(name: str, offline: Path) -> None:
    spec = dataset_spec(name)
    evaluated = read_split(spec, "evaluation")
    # A fixture has too few rows: the same ones many times over, each copy a document of its own.
    many = [replace(e, example_id=f"{e.example_id}-{n}", document_id=f"{e.document_id}-{n}")
            for n in range(40) for e in evaluated]  # fmt: skip
    if not many:
        return  # un-skip when the fixture has a row on the evaluated side
    for items in (1, 5, 100):
        screened, left = keep_back(name, many, items)
        assert 0 < len(screened) <= min(items, len(many) / 5)
        assert not {e.document_id for e in screened} & {e.document_id for e in left}
        assert {e.example_id for e in left} < {e.example_id for e in many}
    if spec.reserve:
        assert not {e.document_id for e in evaluated} & {e.document_id for e in read_split(spec, "fit")}


def test_a_package_with_a_split_for_fitting_is_read_for_it(offline: Path, written: Written) -> None:
    for name in ("stsb", "mmlu"):
        (row,) = read_rows(dataset_spec(name), fit=True)
        assert {key: row[key] for key in row} == {key: written(name)["fit"][0][key] for key in row}


@pytest.mark.parametrize("name", [name for name in calibration_names() if calibration_spec(name).offline])
def test_calibration_texts_are_read(name: str, offline: Path) -> None:
    text = read_text(calibration_spec(name))
    assert text.startswith(f"One short text called {name}.")
    assert text.count("ends.") == 40
