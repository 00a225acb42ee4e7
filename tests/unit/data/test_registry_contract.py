"""Every YAML of the registry, from rows as its source keeps them to the requests that a model is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semprune.data.examples import build_examples
from semprune.data.prompts import find_prompt, render
from semprune.data.registry import calibration_names, calibration_spec, dataset_names, dataset_spec
from semprune.data.sources import Source, read_rows, read_text
from semprune.evaluation.metrics import METRICS

Written = Callable[[str], dict[str, Any]]
WITH_HUB = [name for name in dataset_names() if dataset_spec(name).hub is not None]
WITH_PACKAGE = [name for name in dataset_names() if dataset_spec(name).offline is not None]


def test_every_data_set_has_fixture_rows_and_no_fixture_is_left_over() -> None:
    fixtures = sorted(path.stem for path in (Path(__file__).parent / "fixtures").glob("*.yaml"))
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
        assert item.requests == tuple((entry["context"], continuation) for continuation in entry["continuations"])
        assert (item.label, item.document_id, item.dataset) == (entry["label"], entry["document"], name)


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
        assert prompt.context == prompt.context.rstrip()
        assert all(choice.startswith(" ") for choice in prompt.choices)


@pytest.mark.parametrize("name", calibration_names())
def test_calibration_texts_are_read(name: str, offline: Path) -> None:
    text = read_text(calibration_spec(name))
    assert text.startswith(f"One short text called {name}.")
    assert text.count("ends.") == 40
