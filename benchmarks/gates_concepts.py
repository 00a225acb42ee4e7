"""What learned gates of a class, of a topic and of words cost their own task, and what they cost the others'.

    semprune fit --config configs/fit.yaml --model.gates null --data.datasets [movie_reviews,amazon_reviews,trec] \
      --trainer.logger.init_args.save_dir runs/concepts
    python -m benchmarks.gates_concepts --association runs/concepts/fit/version_0/association.safetensors
    python -m benchmarks.gates_concepts_page runs/gates-concepts

All concepts' gates are learned together, of documents that are fitted on; every set of neurons is then held at its
means while evaluated items and other text are read. `items.parquet` has the log-odds of each item, `words.parquet` the
nats above frequency of each window's words, `text.parquet` the loss of each sequence. What is measured is kept in the
folder, so that a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pandas as pd
import torch
from benchmarks.gates_study import SEVERAL, read_items, read_text, save_with_gates
from safetensors.torch import load_file, save_file
from torch import Tensor

import semprune
from semprune.attribution.ablation.neuron_sets import matched_random, mean_replacements
from semprune.attribution.gates.learn import begin_gates, gates_of, learn_gates
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.sources import gate_texts, word_tasks
from semprune.attribution.gates.task import GateTask
from semprune.attribution.gates.tasks import ClassTask
from semprune.attribution.gates.words import WordTask
from semprune.backbones import Backbone, ablate
from semprune.backbones.hardware import fast_fp32
from semprune.concepts import TokenLabeller, load_concepts
from semprune.data import CalibrationDataModule, dataset_spec, load_documents, load_items
from semprune.data.load import load_fitting_items
from semprune.data.prompts.render import ALL_PROMPTS
from semprune.types import Item

CLASSES = {"movie_reviews.positive": SEVERAL, "trec.number": ["answer_type", "listed", "category"]}
"""Classes, and the wordings that gates are fitted on."""
TESTED = {"nyt_editorials": "movie_reviews.positive", "tweets": "movie_reviews.positive", "trec": "trec.number"}
"""Data sets whose evaluated items are read, and the class that they ask for."""
OTHERWISE = {"nyt_editorials": "terrible_or_great", "tweets": "terrible_or_great", "trec": "other_words"}
"""Wordings whose answers no gate was fitted on."""
WORDS = ["language.negation", "empath.music"]
CONCEPTS = (*CLASSES, *WORDS)
SHARE, WINDOWS, TOKENS = 0.01, 48, 64
HELD_OUT_WINDOWS = 4000
"""Windows of Wikipedia in which words are looked for; those of a concept that are read are 256 at most."""


@dataclass(frozen=True)
class Cell:
    """The neurons of one concept.

    Attributes:
        selection: How they were chosen.
        concept: Whose they are; empty for none.
        seed: Of gates and of a draw.
    """

    selection: str
    concept: str
    seed: int

    def __str__(self) -> str:
        """Name of its files."""
        return f"{self.selection}-{self.concept or 'none'}-{self.seed}"


class Study:
    """A folder of measured cells."""

    def __init__(self, asked: argparse.Namespace) -> None:
        """Load the model; nothing is measured yet."""
        self.asked, self.folder = asked, asked.output
        (self.folder / "cells").mkdir(parents=True, exist_ok=True)
        self.lm = semprune.load_backbone(asked.backbone, dtype=asked.dtype)
        self.association = semprune.load_association(asked.association)
        self.association.require(self.lm.fingerprint)
        self.k = round(SHARE * len(self.association.mean))

    @cached_property
    def tasks(self) -> dict[str, GateTask]:
        """What gates are to take away, of documents that fits read."""
        documents = [each for name in ("movie_reviews", "amazon_reviews") for each in load_documents(name)]
        classes = {name: self._class(name, prompts) for name, prompts in CLASSES.items()}
        return {**classes, **word_tasks(self.lm, load_concepts(WORDS), documents)}

    def _class(self, name: str, prompts: list[str]) -> ClassTask:
        dataset, _, label = name.partition(".")
        items = load_fitting_items(
            dataset, limit=None, seed=0, prompt=ALL_PROMPTS, source="auto", validation_share=0.25
        )
        own = [item for item in items if item.prompt in prompts]
        return ClassTask(self.lm, name, own, dataset_spec(dataset).labels.classes.index(label))

    @cached_property
    def texts(self) -> list[Tensor]:
        """What gates must leave alone."""
        return gate_texts(self.lm, load_documents("movie_reviews"), windows=WINDOWS, length=TOKENS)

    @cached_property
    def items(self) -> dict[tuple[str, str], list[Item]]:
        """Evaluated items in the first wording and in one with other answers."""
        return {
            (name, wording): load_items(name, limit=self.asked.items, prompt=prompt)
            for name, other in OTHERWISE.items()
            for wording, prompt in {"fitted": None, "other": other}.items()
        }

    @cached_property
    def words(self) -> dict[str, WordTask]:
        """Words of Wikipedia that the dense model expects."""
        return words_of_wikipedia(self.lm, self.asked.windows)

    @cached_property
    def text(self) -> CalibrationDataModule:
        """Held-out text."""
        return CalibrationDataModule("wiki", self.asked.sequences, 160).bind(self.lm)

    def settings(self, seed: int) -> GateSettings:
        """How gates are learned: from a start of fewer items than a fit's, however sure."""
        return GateSettings(share=SHARE, seed=seed, start_items=96, sure=0, token_budget=4096)

    def gates(self, seed: int) -> dict[str, Tensor]:
        """Scores of every concept's learned gates, from the folder where they are there."""
        path = self.folder / f"gates-{seed}.safetensors"
        if not path.exists():
            found = learn_gates(
                self.lm, self.tasks, self.texts, self.association.mean, k=self.k, settings=self.settings(seed),
                sites=self.association.sites, progress=partial(print, " ", flush=True),
            )  # fmt: skip
            save_file({name: found.scores[:, at].contiguous() for at, name in enumerate(found.concepts)}, path)
        return load_file(path)

    @cached_property
    def start(self) -> dict[str, Tensor]:
        """Scores that gates start from, before any step."""
        given = (self.lm, self.tasks, self.texts, self.association.mean)
        learner = begin_gates(*given, k=self.k, settings=self.settings(0), sites=self.association.sites)
        return dict(zip(CONCEPTS, gates_of(learner).scores.T, strict=True))

    def rows(self, cell: Cell) -> Tensor:
        """The neurons of a cell."""
        if cell.selection == "dense":
            return torch.zeros(0, dtype=torch.long)
        if cell.selection == "start":
            return self.start[cell.concept].topk(self.k).indices
        if cell.selection == "score":
            return self.association.ranking(cell.concept, "score").abs().topk(self.k).indices
        chosen = self.gates(cell.seed)[cell.concept].topk(self.k).indices
        if cell.selection == "matched":
            return matched_random(self.association, chosen, torch.Generator().manual_seed(cell.seed))
        return chosen

    def measure(self, cell: Cell) -> None:
        """Hold a cell's neurons and read everything."""
        path = self.folder / "cells" / str(cell)
        if Path(f"{path}.text.parquet").exists():
            return
        columns = {"selection": cell.selection, "concept": cell.concept, "seed": cell.seed}
        tasks = self.words  # of the dense model
        with ablate(self.lm.model, mean_replacements(self.association, self.rows(cell))):
            items = [
                read_items(self.lm, own, dataset, wording, self._choice(dataset))
                for (dataset, wording), own in self.items.items()
            ]
            words = [read_words(self.lm, name, task) for name, task in tasks.items()]
            nll = read_text(self.lm, self.text)
        for name, found in {"items": pd.concat(items), "words": pd.concat(words), "text": nll}.items():
            found.assign(**columns).to_parquet(f"{path}.{name}.parquet", index=False)
        print(cell, flush=True)

    def _choice(self, dataset: str) -> int:
        label = TESTED[dataset].partition(".")[2]
        return dataset_spec(dataset).labels.classes.index(label)

    def join(self) -> None:
        """Write what all cells measured as three tables, and the association with the first seed's gates."""
        folder = self.folder / "gated"
        folder.mkdir(exist_ok=True)
        save_with_gates(self.association, self.gates(self.asked.seeds[0]), folder / "association.safetensors")
        for name in ("items", "words", "text"):
            parts = sorted((self.folder / "cells").glob(f"*.{name}.parquet"))
            whole = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
            whole.to_parquet(self.folder / f"{name}.parquet", index=False)


def words_of_wikipedia(lm: Backbone, windows: int) -> dict[str, WordTask]:
    """Windows of Wikipedia that hold words of each concept where the dense model expects them."""
    text = CalibrationDataModule("wiki", HELD_OUT_WINDOWS, TOKENS).bind(lm).calibration_input_ids()
    labels = TokenLabeller(load_concepts(WORDS), lm.tokenizer)(text, torch.ones_like(text))
    found = {}
    for column, name in enumerate(WORDS):
        some = labels[..., column].any(1).nonzero()[:windows, 0]
        found[name] = WordTask(lm, name, labels[some, :, column], text[some])
    return found


@torch.inference_mode()
def read_words(lm: Backbone, name: str, task: WordTask) -> pd.DataFrame:
    """Nats above frequency of each window's words, and of others alike, as the model is now."""
    every = range(len(task.windows))
    parts = torch.cat([task.read(lm, every[at : at + 32]) for at in every[::32]]).double().cpu().numpy()
    return pd.DataFrame({"words": name, "window": every, "own": parts[:, 0], "others": parts[:, 1]})


def cells(seeds: list[int]) -> Iterator[Cell]:
    """Every set, the most telling ones first."""
    yield Cell("dense", "", 0)
    for seed in seeds:
        for selection in ("gates", "matched"):
            yield from (Cell(selection, concept, seed) for concept in CONCEPTS)
    for selection in ("start", "score"):
        yield from (Cell(selection, concept, 0) for concept in CONCEPTS)


@fast_fp32()  # as in every command
def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--association", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/gates-concepts"))
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", default="auto", help="of the model, as the fit's; gates are float32")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--items", type=int, default=150, help="of each data set and wording")
    parser.add_argument("--windows", type=int, default=128, help="of 64 tokens with words of each concept")
    parser.add_argument("--sequences", type=int, default=16, help="of 160 tokens of held-out text")
    study = Study(parser.parse_args())
    for cell in cells(study.asked.seeds):
        study.measure(cell)
    study.join()


if __name__ == "__main__":
    main()
