"""The gates among ``semprune controls``: what causal gates take when there is nothing to learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import pandas as pd

from semprune.attribution.controls.closed_gates import ClassReader
from semprune.attribution.controls.gate_control_tables import gate_control_table, gate_overlap
from semprune.attribution.controls.gate_controls import Lesson, control_sets
from semprune.attribution.controls.gate_items import Wording, held_out_items
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.sources import gate_texts
from semprune.backbones import Backbone
from semprune.data import CalibrationDataModule, dataset_spec, load_documents
from semprune.data.load import load_fitting_items
from semprune.data.prompts.render import find_prompt
from semprune.errors import SettingError
from semprune.io.whole_table import WholeTable
from semprune.report.tables.gate_controls import gate_controls_text, gate_overlap_text
from semprune.study.config.schema import TextConfig
from semprune.types import Count, Filled, Item, Limit, Positive, Seed, Share

GATES = "gates"


@dataclass
class GateControlConfig:
    """Causal gates of a class, and what they are held against.

    Attributes:
        concept: The class, ``dataset.class``.
        wrong: A class of another data set, whose gates must leave the concept's task alone.
        prompts: Wordings of the concept's data set that gates are fitted on; the others are for the test.
        datasets: Whose held-out items are scored, in all their wordings; each has the class.
        wordings: Further wordings of the test, each with an answer for every class.
        limit: Items of each data set and wording.
        fit_limit: Texts that gates are fitted on, of each of both data sets; null for all.
        seeds: Two or more: one run of each control.
        share: Share of all neurons whose gates close.
        budget: What they may cost other text, nats per token.
        steps: Adam steps.
        items: Items of a step.
        windows: Windows of text of a step.
        texts: Windows of 64 tokens of general text, and of the concept's data set, that gates must leave alone.
        start_items: Items of the first order that gates start from.
        token_budget: Padded tokens of a batch.
        text: Held-out text for the divergence.
    """

    concept: str = "amazon_reviews.positive"
    wrong: str = "bbc_news.sports"
    prompts: Annotated[list[str], Filled("one wording or more")] = field(default_factory=lambda: ["review", "question"])
    datasets: Annotated[list[str], Filled("one data set or more")] = field(
        default_factory=lambda: ["movie_reviews", "nyt_editorials"]
    )
    wordings: list[Wording] = field(
        default_factory=lambda: [
            Wording("feeling", "{text}\nThe feeling of the text is", {"negative": " sad", "positive": " happy"})
        ]
    )
    limit: Count = 40
    fit_limit: Limit = 300
    seeds: list[Seed] = field(default_factory=lambda: [0, 1])
    share: Share = 0.01
    budget: Positive = 0.1
    steps: Count = 10
    items: Count = 16
    windows: Count = 4
    texts: Count = 16
    start_items: Count = GateSettings.start_items
    token_budget: Count = 2048
    text: TextConfig = field(default_factory=lambda: TextConfig(sequences=4))


def check_gates(config: GateControlConfig) -> None:
    """Refuse names that cannot be run, before the model is loaded.

    Raises:
        SettingError: A concept is no class, a data set has not the class, or there is one seed only.
        UnknownDatasetError: There is no such data set.
        UnknownPromptError: There is no such wording.
    """
    for setting, concept in (("concept", config.concept), ("wrong", config.wrong)):
        _choice(f"gates.{setting}", *_parts(concept))
    own, label = _parts(config.concept)
    if _parts(config.wrong)[0] == own:
        raise SettingError("gates.wrong", config.wrong, f"a class of another data set than {own}")
    for name in config.datasets:
        _choice("gates.datasets", name, label)
    for prompt in config.prompts:
        find_prompt(dataset_spec(own), prompt)
    if len(set(config.seeds)) < 2:
        raise SettingError("gates.seeds", config.seeds, "two different seeds or more: one has nothing to agree with")


def _parts(concept: str) -> tuple[str, str]:
    dataset, _, label = concept.rpartition(".")
    return dataset, label


def _choice(setting: str, dataset: str, label: str) -> int:
    classes = dataset_spec(dataset).labels.classes
    if label not in classes:
        raise SettingError(setting, f"{dataset}.{label}", f"a class of a data set: {', '.join(classes) or 'none'}")
    return list(classes).index(label)


def control_gates(config: GateControlConfig, lm: Backbone, progress: Callable[[str], None]) -> dict[str, pd.DataFrame]:
    """Learn, close and measure; both tables by name.

    Raises:
        SempruneError: Of the kind of what is wrong with the data or the model.
    """
    (own, label), (other, wrong) = _parts(config.concept), _parts(config.wrong)
    fitted = [item for prompt in config.prompts for item in _fitting(own, config, prompt)]
    texts = gate_texts(lm, load_documents(own, limit=config.fit_limit), config.texts, min(64, lm.max_length))
    lesson = Lesson(
        fitted, _choice("concept", own, label), _fitting(other, config, None), _choice("wrong", other, wrong), texts
    )
    items = held_out_items(config.datasets, config.wordings, config.limit)
    text = CalibrationDataModule(config.text.calibration, config.text.sequences, config.text.length)
    choices = {name: _choice("datasets", name, label) for name in config.datasets}
    progress("dense")
    reader = ClassReader(lm, items, choices, text.bind(lm).calibration_input_ids(), config.token_budget)
    neurons = sum(site.width for site in lm.sites)
    settings = GateSettings(
        config.share, config.budget, config.steps, config.items, config.windows, config.start_items,
        token_budget=config.token_budget,
    )  # fmt: skip
    sets = control_sets(
        lm, lesson, reader, k=max(1, int(config.share * neurons)), seeds=config.seeds, settings=settings,
        progress=progress,
    )  # fmt: skip
    return {
        "gate_controls": gate_control_table(config.concept, sets, reader, fitted, items),
        "gate_overlap": gate_overlap(config.concept, sets, reader, neurons),
    }


def _fitting(dataset: str, config: GateControlConfig, prompt: str | None) -> list[Item]:
    return load_fitting_items(dataset, limit=config.fit_limit, prompt=prompt)


def gate_tables(tables: Mapping[str, pd.DataFrame]) -> Iterator[WholeTable]:
    """Both tables, with what they say above them."""
    yield gate_controls_text(tables["gate_controls"]).printed()
    yield gate_overlap_text(tables["gate_overlap"]).printed()
