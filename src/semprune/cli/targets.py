"""What neurons are ranked for in a command: the columns that stand for it, and what rankings are made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from semprune.attribution import Association
from semprune.attribution.ablation.neuron_sets import combined_strength, family_classes
from semprune.attribution.association.score import GATES, RANKINGS
from semprune.attribution.fit.learner import LearnerShape
from semprune.attribution.gradients.rankings import LabelledItems
from semprune.attribution.held_out.observations import Observations
from semprune.attribution.rankings import Target, find_ranking
from semprune.backbones import Backbone
from semprune.concepts import TokenLabeller, load_concepts
from semprune.data import dataset_spec, load_items
from semprune.errors import ConfigurationError
from semprune.study.association import fit_documents
from semprune.study.config.schema import FitConfig
from semprune.types import Item


class TargetSettings(Protocol):
    """The settings that say what neurons are ranked for; each command's configuration documents its own."""

    target: str
    concepts: list[str]
    combine: str
    words: list[str]
    rankings: list[str]
    gradient_items: int
    documents: int | None
    limit: int


def target_concepts(config: TargetSettings, association: Association) -> list[str]:
    """Columns that stand for the target: those named, or the classes of the family's data sets; refuses wrong names.

    Raises:
        UnknownConceptError: A name is none of the association's.
        UnknownDatasetError: A class is of no registered data set.
        ConfigurationError: There is no such column.
    """
    for name in config.concepts:
        association.column(name)
    classes = family_classes(association, config.target)
    if not config.concepts and not classes:
        raise ConfigurationError(
            f"the association has no class of a data set of family '{config.target}'. Name `concepts` of it: "
            f"{', '.join(association.concepts[:6])} …"
        )
    return config.concepts or classes


def asked_rankings(config: TargetSettings) -> list[str]:
    """Names of the rankings, without those of items where there are none.

    Raises:
        SettingError: There is no such ranking.
    """
    found = [find_ranking(name) for name in dict.fromkeys(config.rankings)]
    return [ranking.name for ranking in found if config.gradient_items or ranking.needs != "items"]


def class_label(concepts: list[str], dataset: str) -> int | None:
    """The label of the only concept, where that is a class of the data set: all else is another class."""
    classes = {f"{dataset}.{name}": label for label, name in enumerate(dataset_spec(dataset).labels.classes)}
    return classes.get(concepts[0]) if len(concepts) == 1 else None


def check_own_rankings(names: Iterable[str], association: Association, concepts: Sequence[str], combine: str) -> None:
    """Refuse rankings of the association that it has not for its concepts, before the model is loaded.

    Raises:
        NoGatesError: Gates were learned of none of the concepts.
        SettingError: There is no such combination.
    """
    for name in names:
        if name in (*RANKINGS, GATES):
            combined_strength(association, concepts, name, combine)


def ranked_target(
    config: TargetSettings,
    association: Association,
    concepts: list[str],
    lm: Backbone,
    dataset: str,
    held_out: list[Item],
) -> Target:
    """The target with what rankings may need: documents are read and items loaded only for those that do.

    Args:
        config: The command's settings.
        association: The fitted association.
        concepts: Columns that stand for the target.
        lm: The dense backbone.
        dataset: Whose further items rankings by gradients read.
        held_out: Items that are scored, of which none is read.
    """
    own = [name for name in concepts if association.levels[association.column(name)] == "token"]
    return Target(
        association, concepts, own or config.words,
        documents=lambda: fitting_observations(config, association, lm),
        items=lambda: LabelledItems(lm, association, other_items(config, dataset, held_out)),
        combine=config.combine,
    )  # fmt: skip


def fitting_observations(config: TargetSettings, association: Association, lm: Backbone) -> Observations:
    """Documents of the data sets that the association was fitted on, standardised and labelled for its concepts.

    Raises:
        ConfigurationError: The association has no class of any data set.
    """
    levels = zip(association.concepts, association.levels, strict=True)
    classes = [name for name, level in levels if level == "sequence"]
    datasets = list(dict.fromkeys(name.rpartition(".")[0] for name in classes))
    if not datasets:
        raise ConfigurationError("the association has no class of a data set: leave out `rankings` of documents.")
    words = association.concepts[: len(association.concepts) - len(classes)]
    fit = FitConfig(datasets, config.documents, max_length=min(FitConfig.max_length, lm.max_length))
    data = fit_documents(fit, lm)
    data.prepare_data()
    data.setup()
    labeller = TokenLabeller(load_concepts(list(words)), lm.tokenizer).to(lm.device)
    vocabulary = lm.model.get_input_embeddings().num_embeddings
    shape = LearnerShape(words, data.classes, tuple(datasets), fit.max_length, vocabulary)
    return Observations.prepared(lm, labeller, shape, data.train_dataloader, association.sites)


def other_items(config: TargetSettings, dataset: str, held_out: Iterable[Item]) -> list[Item]:
    """Items of a data set that share no document with those that are scored, asked as these are."""
    own = [item for item in held_out if item.dataset == dataset]
    documents = {item.document_id for item in own}
    more = load_items(dataset, limit=config.limit + config.gradient_items, prompt=own[0].prompt if own else None)
    return [item for item in more if item.document_id not in documents]
