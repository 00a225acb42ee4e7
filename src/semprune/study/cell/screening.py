"""What the dense model answers to the items that are kept back, kept in the store by content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch

from semprune.backbones import Backbone
from semprune.data import load_screening_items
from semprune.data.batches.encoding import padding_token
from semprune.data.batches.scorable import ScorableItems, encode_items
from semprune.data.prompts.render import ALL_PROMPTS
from semprune.data.registry import dataset_spec
from semprune.evaluation import screening_table
from semprune.evaluation.engine.request_scorer import Engine
from semprune.evaluation.predictions.prediction import prediction_table
from semprune.evaluation.predictions.score_items import score_items
from semprune.evaluation.screen import CHOSEN_FAMILIES
from semprune.io.files import write_parquet
from semprune.study.config.schema import ScreeningConfig, StudyConfig
from semprune.study.store import store
from semprune.study.store.addresses import Addresses
from semprune.study.store.store import claim


@dataclass
class Screening:
    """The screening of a study's data sets by its dense model.

    Attributes:
        config: The study.
        settings: Its screening.
        lm: Its model, dense.
        addresses: Where answers are kept.
        reads_only: Whether nothing is scored: what the store lacks is then not known.
    """

    config: StudyConfig
    settings: ScreeningConfig
    lm: Backbone
    addresses: Addresses
    reads_only: bool = False

    @cached_property
    def items(self) -> dict[str, ScorableItems]:
        """Every data set's screening items, in every wording that is asked."""
        return {name: self._read(name) for name in self.config.datasets}

    @property
    def missing(self) -> list[str]:
        """Data sets that are not in the store."""
        return [name for name in self.config.datasets if not self.addresses.screening(name).is_file()]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per data set and wording, ``backbone`` first; without what is missing where nothing is scored."""
        missing = self.missing if self.reads_only else []
        found = [self._answers(name) for name in self.config.datasets if name not in missing]
        if not found:
            return pd.DataFrame(columns=["dataset", "prompt", "chosen"])
        table = screening_table(pd.concat(found, ignore_index=True), margin=self.settings.margin)
        table.insert(0, "backbone", str(self.lm.fingerprint))
        return table

    def prompt(self, dataset: str) -> str | None:
        """Name of the wording to evaluate a data set in, as the study's settings name one; None for the first."""
        rows = self.table[(self.table["dataset"] == dataset) & self.table["chosen"].astype(bool)]
        if self.config.prompt is not None or rows.empty:
            return self.config.prompt
        asked = dict.fromkeys(encoded.item.prompt for encoded in self.items[dataset].items)
        names = [prompt.name for prompt in dataset_spec(dataset).prompts]  # shots and chat stand in an item's own
        return names[list(asked).index(rows["prompt"].iloc[0])]

    def _read(self, name: str) -> ScorableItems:
        config, prompt = self.config, self.config.prompt
        if prompt is None and self.settings.wordings == "best" and dataset_spec(name).family in CHOSEN_FAMILIES:
            prompt = ALL_PROMPTS
        items = load_screening_items(
            name, items=self.settings.items, prompt=prompt, shots=config.shots, chat=config.chat,
            tokenizer=self.lm.tokenizer,
        )  # fmt: skip
        return encode_items(self.lm.tokenizer, items, self.lm.max_length)

    def _answers(self, name: str) -> pd.DataFrame:
        path = self.addresses.screening(name)
        with claim(path.with_suffix(".lock"), wait=True):  # what one process scores, others read
            if not path.is_file():
                store.require_writable(path.parent)
                write_parquet(path, self._score(name))
        return store.read_table(path)

    def _score(self, name: str) -> pd.DataFrame:
        self.lm.model.to("cuda" if torch.cuda.is_available() else "cpu")
        engine = Engine(self.lm.model, padding_token(self.lm.tokenizer), self.config.token_budget)
        with torch.inference_mode():
            return prediction_table(score_items(engine, self.items[name].items))
