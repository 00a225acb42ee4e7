"""What learned gates take of sentiment on data sets that nothing was fitted on, over seeds, beside other rankings.

    semprune study --config quickstart
    python -m benchmarks.gates_study --run runs/quickstart --output runs/gates
    python -m benchmarks.gates_page runs/gates

Gates are learned of movie reviews alone. Each set of neurons is held at its means while items of other data sets and
held-out text are read: `items.parquet` has the log-odds of each item, `text.parquet` the loss of each sequence,
`gates.parquet` the neurons. What is measured is kept in the folder, so that a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import semprune
from semprune.attribution import Association
from semprune.attribution.ablation.neuron_sets import matched_random, mean_replacements, random_neurons
from semprune.attribution.association.score import GATES
from semprune.attribution.controls.gate_controls import UnaskedTask
from semprune.attribution.controls.gate_items import Wording, asked_items, permuted_items
from semprune.attribution.gates.collateral import dense_texts
from semprune.attribution.gates.first_order import first_order_effect, first_order_over_collateral
from semprune.attribution.gates.learn import begin_gates, gates_of, learn_gates
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.sources import gate_texts
from semprune.attribution.gates.tasks import ClassTask
from semprune.attribution.gradients.rankings import LabelledItems
from semprune.attribution.rankings import Target, rankings
from semprune.backbones import Backbone, ablate
from semprune.backbones.hardware import fast_fp32
from semprune.cli.commands.causal import CausalCommandConfig
from semprune.cli.gate_controls import GateControlConfig
from semprune.cli.targets import fitting_observations
from semprune.data import CalibrationDataModule, load_documents, load_items
from semprune.data.load import load_fitting_items
from semprune.data.prompts.render import ALL_PROMPTS
from semprune.evaluation import perplexity, predict_items
from semprune.evaluation.predictions.prediction import choice_scores
from semprune.statistics.auroc import label_log_odds
from semprune.types import Item

FITTED = "movie_reviews"
TESTED = ["amazon_reviews", "nyt_editorials", "tweets"]
"""Data sets that no gate was fitted on."""
FITTED_WORDING = "fitted"
OTHERS: dict[str, str | Wording] = {
    "terrible_or_great": "terrible_or_great",
    "sad_or_happy": GateControlConfig().wordings[0],
}
"""Wordings whose answers no gate was fitted on: of the data sets, and the one that ``semprune controls`` asks in."""
SEVERAL = ["review", "question", "good_or_bad", "liked"]


class Recipe(NamedTuple):
    """How gates are learned.

    Attributes:
        wordings: That they are fitted on; the several have three pairs of answers.
        start_items: Of the first order that they start from.
        steps: Of Adam.
        items: Of each step.
        penalty: What a nat of collateral costs at first.
        sure: Standard errors that the first order is lowered by.
    """

    wordings: list[str]
    start_items: int
    steps: int
    items: int
    penalty: float
    sure: float

    def settings(self, share: float, seed: int, token_budget: int) -> GateSettings:
        """As the learner takes it."""
        return GateSettings(
            share=share, seed=seed, start_items=self.start_items, steps=self.steps, items=self.items,
            penalty=self.penalty, sure=self.sure, token_budget=token_budget,
        )  # fmt: skip


OVER_WORDINGS = Recipe(SEVERAL, 768, 16, 40, 0.2, 0.0)
RECIPES = {"several": OVER_WORDINGS, "permuted": OVER_WORDINGS, "one": Recipe(["review"], 96, 16, 32, 1.0, 0.0)}
"""Permuted are labels: what gates take when these say nothing."""
OF_REGISTRY = [
    name
    for name, ranking in rankings().items()
    if name not in (GATES, "first_order_over_collateral", "lape") and ranking.needs != "words"
]
"""Rankings for the class; lape knows words alone."""
DRAWS = 4
"""Of neurons that are matched by layer and norm to the gates of several wordings."""
RANKING_ITEMS = 64
"""That rankings by gradients read, as in `semprune causal`."""
FIRST_ORDER_ITEMS = 96
"""That first order over collateral reads, of several wordings."""
WINDOWS, TOKENS = 48, 64
"""Windows of each text that gates must leave alone, and tokens of a window, as in a fit."""


@dataclass(frozen=True)
class Cell:
    """One set of neurons.

    Attributes:
        selection: How they were chosen.
        seed: Of gates or of a draw.
        share: Of all neurons.
    """

    selection: str
    seed: int
    share: float

    @property
    def wordings(self) -> list[str]:
        """In which items are read: of some sets also in answers that no gate was fitted on."""
        asked = self.share in (0, 0.01) and self.selection.startswith(("dense", "gates", "start", "first_order"))
        return [FITTED_WORDING, *(OTHERS if asked else [])]

    def __str__(self) -> str:
        """Name of its files."""
        return f"{self.selection}-{self.seed}-{self.share:g}"


class Study:
    """A folder of measured cells."""

    def __init__(self, asked: argparse.Namespace) -> None:
        """Load the model; nothing is measured yet."""
        self.asked, self.folder = asked, asked.output
        (self.folder / "cells").mkdir(parents=True, exist_ok=True)
        (self.folder / "gates").mkdir(exist_ok=True)
        self.lm = semprune.load_backbone(asked.backbone, dtype=asked.dtype)
        self.association = semprune.load_association(asked.run / "association.safetensors")
        self.association.require(self.lm.fingerprint)

    @cached_property
    def texts(self) -> list[Tensor]:
        """What gates must leave alone."""
        return gate_texts(self.lm, load_documents(FITTED), windows=WINDOWS, length=TOKENS)

    @cached_property
    def items(self) -> dict[tuple[str, str], list[Item]]:
        """Items of each data set in its first wording, and in those that were never fitted on."""
        asked: dict[str, str | Wording | None] = {FITTED_WORDING: None, **OTHERS}
        return {
            (name, wording): asked_items(name, own, self.asked.items)
            if isinstance(own, Wording)
            else load_items(name, limit=self.asked.items, prompt=own)
            for name in TESTED
            for wording, own in asked.items()
        }

    @cached_property
    def text(self) -> CalibrationDataModule:
        """Held-out text."""
        return CalibrationDataModule("wiki", self.asked.sequences, 160).bind(self.lm)

    def task(self, kind: str, seed: int = 0) -> ClassTask:
        """Sentiment of the fitted data set in some of its wordings, of documents that no fit holds out.

        Args:
            kind: Of gates.
            seed: Of permuted labels.
        """
        own = self.fitted(kind)
        if kind == "permuted":
            return UnaskedTask(self.lm, "permuted", permuted_items(own, seed), 1)
        return ClassTask(self.lm, f"{FITTED}.positive", own, 1)

    def fitted(self, kind: str) -> list[Item]:
        """Items of the fitted data set in the wordings of a kind of gates."""
        items = load_fitting_items(FITTED, limit=None, seed=0, prompt=ALL_PROMPTS, source="auto", validation_share=0.25)
        return [item for item in items if item.prompt in RECIPES[kind].wordings]

    def gates(self, kind: str, seed: int, share: float) -> Tensor:
        """Scores of learned gates, from the folder where they are there."""
        path = self.folder / "gates" / f"{kind}-{seed}-{share:g}.safetensors"
        if not path.exists():
            k = self.size(share)
            settings = RECIPES[kind].settings(share, seed, self.asked.token_budget)
            found = learn_gates(
                self.lm, {"sentiment": self.task(kind, seed)}, self.texts, self.association.mean,
                k=k, settings=settings, sites=self.association.sites, progress=partial(print, " ", flush=True),
            )  # fmt: skip
            save_file({"scores": found.scores[:, 0].contiguous()}, path)
        return load_file(path)["scores"]

    def start(self, share: float) -> Tensor:
        """Scores that gates of several wordings start from, before any step."""
        given = (self.lm, {"sentiment": self.task("several")}, self.texts, self.association.mean)
        settings = OVER_WORDINGS.settings(share, 0, self.asked.token_budget)
        learner = begin_gates(*given, k=self.size(share), settings=settings, sites=self.association.sites)
        return gates_of(learner).scores[:, 0]

    def size(self, share: float) -> int:
        """How many neurons a share of all is."""
        return max(round(share * len(self.association.mean)), 1)

    @cached_property
    def first_order(self) -> dict[str, Tensor]:
        """Attribution patching, and the same over collateral."""
        task = self.task("several")
        effect = first_order_effect(
            self.lm, self.association.sites, task, task.start(FIRST_ORDER_ITEMS, 0), self.association.mean
        ).effect
        fisher = dense_texts(self.lm, self.association.sites, self.texts, self.association.mean).fisher
        return {
            "attribution_patching": effect,
            "first_order_over_collateral": first_order_over_collateral(effect, fisher),
        }

    @cached_property
    def target(self) -> Target:
        """The fitted class, with what rankings of the registry are made from: documents and items that fits read."""
        return Target(
            self.association, [f"{FITTED}.positive"], [],
            documents=lambda: fitting_observations(CausalCommandConfig(), self.association, self.lm),
            items=lambda: LabelledItems(self.lm, self.association, self.fitted("one")[:RANKING_ITEMS], self.texts),
        )  # fmt: skip

    def rows(self, cell: Cell) -> Tensor:
        """The neurons of a cell."""
        k, draw = self.size(cell.share), torch.Generator().manual_seed(cell.seed)
        if cell.selection == "dense":
            return torch.zeros(0, dtype=torch.long)
        if cell.selection == "random":
            return random_neurons(self.association, k, draw)
        if cell.selection == "matched":
            chosen = self.gates("several", cell.seed, cell.share).topk(k).indices
            return matched_random(self.association, chosen, draw)
        if cell.selection == "start":
            return self.start(cell.share).topk(k).indices
        if cell.selection.startswith("gates_"):
            return self.gates(cell.selection.removeprefix("gates_"), cell.seed, cell.share).topk(k).indices
        if cell.selection in self.first_order:
            return self.first_order[cell.selection].topk(k).indices
        return self.target.ranked(cell.selection).topk(k).indices

    def measure(self, cell: Cell) -> None:
        """Hold a cell's neurons and read what has not been read yet."""
        path = self.folder / "cells" / str(cell)
        files = {wording: Path(f"{path}.{wording}.items.parquet") for wording in cell.wordings}
        text = Path(f"{path}.text.parquet")
        if text.exists() and all(file.exists() for file in files.values()):
            return
        columns: dict[str, Any] = {"selection": cell.selection, "seed": cell.seed, "share": cell.share}
        rows = self.rows(cell)
        with ablate(self.lm.model, mean_replacements(self.association, rows)):
            for wording, file in files.items():
                if not file.exists():
                    items = [read_items(self.lm, self.items[name, wording], name, wording, 1) for name in TESTED]
                    pd.concat(items).assign(**columns).to_parquet(file, index=False)
            read_text(self.lm, self.text).assign(**columns).to_parquet(text, index=False)
        print(f"{cell}: {len(rows)} neurons", flush=True)

    def join(self) -> None:
        """Write what all cells measured as two tables, and the association with the first seed's gates."""
        for name in ("items", "text"):
            parts = sorted((self.folder / "cells").glob(f"*.{name}.parquet"))
            whole = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
            whole.to_parquet(self.folder / f"{name}.parquet", index=False)
        path = self.folder / "gates" / "several-0-0.01.safetensors"
        if path.exists():
            gates = {f"{FITTED}.positive": load_file(path)["scores"]}
            save_with_gates(self.association, gates, self.folder / "association.safetensors")
        if any((self.folder / "gates").glob("*.safetensors")):  # none where only other sets were asked for
            self._learned().to_parquet(self.folder / "gates.parquet", index=False)

    def _learned(self) -> pd.DataFrame:
        """The neurons of all learned gates, the first of each first."""
        found = []
        for path in sorted((self.folder / "gates").glob("*.safetensors")):
            kind, seed, share = path.stem.split("-")
            rows = load_file(path)["scores"].topk(self.size(float(share))).indices
            found.append(pd.DataFrame({"kind": kind, "seed": int(seed), "share": float(share), "neuron": rows}))
        return pd.concat(found, ignore_index=True)


def save_with_gates(association: Association, gates: Mapping[str, Tensor], path: Path) -> None:
    """Write an association with learned gates of some of its concepts, for `semprune mediate --rankings [gates]`."""
    columns = torch.full((len(association.mean), len(association.concepts)), torch.nan)
    for concept, scores in gates.items():
        columns[:, association.concepts.index(concept)] = scores
    replace(association, gates=columns).save(path)


def read_items(lm: Backbone, items: list[Item], dataset: str, wording: str, choice: int) -> pd.DataFrame:
    """Log-odds of one of the answers to each item, as the model is now."""
    predictions = predict_items(lm, items, token_budget=4096)
    scored = choice_scores(predictions)
    return pd.DataFrame({
        "dataset": dataset, "wording": wording, "document": predictions["document_id"].astype(str),
        "log_odds": label_log_odds(scored.scores, choice), "label": (scored.labels == choice).astype(int),
    })  # fmt: skip


def read_text(lm: Backbone, text: CalibrationDataModule) -> pd.DataFrame:
    """Loss of each sequence of a text, as the model is now."""
    nll = perplexity(lm.model, text.calibration_input_ids(), first=text.first_predicted)[1].double().numpy()
    return pd.DataFrame({"sequence": range(len(nll)), "nll": nll})


def cells(asked: argparse.Namespace) -> Iterator[Cell]:
    """Every set, the most telling ones first."""
    yield Cell("dense", 0, 0.0)
    for share in asked.shares:
        for kind in asked.kinds:
            yield from (Cell(f"gates_{kind}", seed, share) for seed in asked.seeds)
        yield from (Cell("matched", draw, share) for draw in range(DRAWS))
        for name in ("start", "first_order_over_collateral", "attribution_patching", "random", *OF_REGISTRY):
            yield Cell(name, 0, share)


@fast_fp32()  # as in every command
def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="folder with association.safetensors")
    parser.add_argument("--output", type=Path, default=Path("runs/gates"))
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", default="auto", help="of the model, as the run's; gates are float32")
    parser.add_argument("--kinds", nargs="+", choices=sorted(RECIPES), default=list(RECIPES))
    parser.add_argument("--only", nargs="+", help="sets to measure, such as gates_several; all others later")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.001], help="each is learned by itself")
    parser.add_argument("--token_budget", type=int, default=4096, help="of a forward in which gates learn")
    parser.add_argument("--items", type=int, default=150, help="of each data set and wording")
    parser.add_argument("--sequences", type=int, default=16, help="of 160 tokens of held-out text")
    study = Study(parser.parse_args())
    for cell in cells(study.asked):
        if not study.asked.only or cell.selection in study.asked.only:
            study.measure(cell)
    study.join()


if __name__ == "__main__":
    main()
