"""``semprune neurons``: which neurons answer to some words, a concept or a class; one command from words to neurons."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from semprune.artefacts import read_table
from semprune.attribution import Association, load_association
from semprune.attribution.fit.evidence import evidence
from semprune.cli.commands.explain import about_concept, backbone_of, written_in
from semprune.cli.parsing.arguments import Parser, command_parser, configured
from semprune.concepts import Concept, load_concepts
from semprune.concepts.influential.clusters import write_concepts
from semprune.concepts.registry import DEFAULT
from semprune.concepts.sources.own import FILE_SUFFIX
from semprune.data import dataset_names, dataset_spec
from semprune.errors import ConceptWithoutEvidenceError, ConfigurationError
from semprune.io.terminal import Terminal
from semprune.study.association import describe_association
from semprune.study.cell.shared import load_model
from semprune.study.config.schema import BackboneConfig, FitConfig, StudyConfig
from semprune.study.worker import Worker
from semprune.types import Limit

FEW_TOKENS = 100
"""With fewer tokens of a concept its neurons are those of a few sentences; ours."""


@dataclass
class NeuronsConfig:
    """Whose neurons are shown, and what they are looked for in.

    Attributes:
        words: Words and phrases, divided by commas, or a text file with one on each line.
        concept: Name of a concept (sentiment.negative) or class (bbc_news.sports), or the YAML of an own concept.
        run: Folder with association.safetensors, a study's or fit's; null fits one.
        backbone: The model, where one is fitted.
        datasets: Data sets with documents reserved for fitting, where one is fitted; that of a class is added.
        limit: Texts of each; null for all.
        output: Folder of the association that is fitted; null for runs/neurons/ and the concept's name.
        store: Folder of finished fits: the same one is not fitted again.
    """

    words: str | None = None
    concept: str | None = None
    run: str | None = None
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    datasets: list[str] = field(default_factory=lambda: FitConfig().datasets)
    limit: Limit = 200
    output: str | None = None
    store: str = "runs/store"


def neurons_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "neurons",
        "The neurons that answer to some words, a concept or a class.",
        "--words WORDS | --concept NAME [--run RUN_DIR] [options]",
        [
            'semprune neurons --words "book,reserve,cancel"',
            "semprune neurons --words words.txt --datasets [bbc_news] --limit 400",
            "semprune neurons --concept sentiment.negative --run runs/quickstart",
        ],
    )
    parser.add_class_arguments(NeuronsConfig)
    return parser


def neurons(arguments: list[str]) -> None:
    """Run the command: count the evidence, read or fit the association, show the neurons.

    Raises:
        ConfigurationError: Neither words nor a concept are given, or both.
        ConceptWithoutEvidenceError: No fitting document holds the words.
        SempruneError: Of the kind of what else is wrong.
    """
    parser = neurons_parser()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # a fit of seconds needs no advice
    config = configured(parser, parser.parse_args(arguments), NeuronsConfig)
    if (config.words is None) == (config.concept is None):
        raise ConfigurationError("say whose neurons: --words or --concept, one of them. `semprune neurons --help`.")
    shown = from_run(config, Path(config.run)) if config.run is not None else from_fit(config)
    Terminal().print(Group(*(Padding(each, (0, 0, 1, 0)) for each in shown)))


def given_words(words: str) -> tuple[str, ...]:
    """Words and phrases of a command line, or of a file with one on each line; each once, in lower case.

    Example:
        >>> given_words("Book, make a reservation,cancel,book")
        ('book', 'make a reservation', 'cancel')
    """
    listed = Path(words).read_text("utf-8").splitlines() if os.path.isfile(words) else words.split(",")
    return tuple(dict.fromkeys(" ".join(word.lower().split()) for word in listed if word.strip()))


def from_run(config: NeuronsConfig, run: Path) -> list[RenderableType]:
    """What a run's association says; its evidence first."""
    association = load_association(run / "association.safetensors")
    name = str(config.concept) if config.words is None else _of_words(association, given_words(config.words), run)
    name = name.removesuffix(FILE_SUFFIX).rpartition("/")[2] if name.endswith(FILE_SUFFIX) else name
    association.ranking(name)  # refuses a wrong name before the model is loaded
    parts: list[RenderableType] = []
    known = read_table(run, "concepts")
    if known is not None and (known["concept"] == name).any():
        own = known[known["concept"] == name].iloc[0]
        kind = "tokens" if own["level"] == "token" else "texts"
        parts.append(Text(f"evidence for {name}: {own['n_positive']:,} of {own['n']:,} {kind}"))
    written = written_in(association, run, lambda: backbone_of(association))
    return [*parts, *about_concept(association, written, run, name)]


def _of_words(association: Association, words: tuple[str, ...], run: Path) -> str:
    """The concept of an association that these words are.

    Raises:
        ConfigurationError: None is.
    """
    own = [name for name, level in zip(association.concepts, association.levels, strict=True) if level == "token"]
    asked = association.settings.get("concepts", [])
    shared: dict[str, int] = {}
    for concept in load_concepts(list(asked if isinstance(asked, list | tuple) else [])):
        if concept.name in own:
            shared[concept.name] = len(set(concept.words) & set(words))
            if set(concept.words) == set(words):
                return concept.name
    own.sort(key=lambda name: -shared.get(name, 0))  # those with most of the words first
    raise ConfigurationError(
        f"no concept of {run} has these words ({', '.join(words[:5])}). Leave --run out, and they are fitted; or name "
        f"one with --concept: {', '.join(own[:8])}{' …' if own[8:] else ''}."
    )


def from_fit(config: NeuronsConfig) -> list[RenderableType]:
    """Fit an association to the words, the default concepts beside them; their evidence is counted first."""
    name = _name(config)
    run = Path(config.output or f"runs/neurons/{name}")
    datasets, concepts = list(config.datasets), [DEFAULT]
    if config.words is not None:
        words = given_words(config.words)
        path = write_concepts(
            [Concept(name, words)], run / "concepts", source="own words", licence="own", about="Words"
        )
        concepts.insert(0, str(path[0]))
    elif is_class(name):
        datasets = list(dict.fromkeys([*datasets, name.rpartition(".")[0]]))
    else:
        concepts.insert(0, str(config.concept))
    fit = FitConfig(datasets=datasets, limit=config.limit, concepts=concepts)
    study = StudyConfig(output=str(run), store=config.store, backbone=config.backbone, fit=fit, causal=None)
    worker = Worker(study, load_model(config.backbone), Terminal(stderr=True))
    Terminal().print(counted(worker, name))
    describe_association(worker.shared.module, worker.shared.cards, run)
    more = Text(f"association: {run}/association.safetensors; more of it: semprune explain --run {run}", style="dim")
    association = worker.shared.association
    written = written_in(association, run, lambda: worker.lm)
    return [*about_concept(association, written, run, name), more]


def _name(config: NeuronsConfig) -> str:
    """What the concept is called: own words by the first of them."""
    if config.words is not None:
        words = given_words(config.words)
        return "own." + "_".join(re.sub(r"\W+", "_", word) for word in words[:3]) if words else "own"
    name = str(config.concept)
    return name if is_class(name) else load_concepts([name])[0].name


def is_class(name: str) -> bool:
    """Whether a name is that of a data set's class.

    Example:
        >>> is_class("movie_reviews.negative"), is_class("sentiment.negative")
        (True, False)
    """
    dataset, _, label = name.rpartition(".")
    return dataset in dataset_names() and label in dataset_spec(dataset).labels.classes


def counted(worker: Worker, name: str) -> str:
    """How many tokens or texts there are of a concept, to fit on and held out; of own words, of each.

    Raises:
        ConceptWithoutEvidenceError: None to fit on.
    """
    data = worker.data.documents
    if is_class(name):
        own = [sum(f"{each.dataset}.{each.label}" == name for each in side)
               for side in (data.train_documents, data.val_documents)]  # fmt: skip
        return f"evidence for {name}: {own[0]:,} texts to fit on, {own[1]:,} held out"
    (concept,) = load_concepts([worker.config.fit.concepts[0]])
    single = [Concept(f"word.{place}", (word,)) for place, word in enumerate(concept.words)]
    fitted = evidence(worker.lm, [concept, *single], data.train_dataloader())
    held_out = evidence(worker.lm, [concept], data.val_dataloader())
    if not fitted[name]:
        raise ConceptWithoutEvidenceError([name], len(data.train_documents))
    words = sorted(zip(concept.words, list(fitted.values())[1:], strict=True), key=lambda pair: -pair[1])
    most = ", ".join(f"{word} {number:,}" for word, number in words[:12])
    few = (
        "" if fitted[name] >= FEW_TOKENS else "; little: raise --limit, or name --datasets where the words are at home"
    )
    return f"evidence for {name}: {fitted[name]:,} tokens to fit on ({most}), {held_out[name]:,} held out{few}"
