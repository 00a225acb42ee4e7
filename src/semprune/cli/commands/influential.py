"""``semprune influential``: concepts from a labelled data set, as YAML files that ``fit`` takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from semprune.attribution.neurons.concept_naming import named_concepts
from semprune.backbones import Backbone, load_backbone
from semprune.cli.parsing.arguments import Parser, command_parser, configured
from semprune.concepts import Concept
from semprune.concepts.influential.clusters import embed_words, influential_concepts, write_concepts
from semprune.concepts.influential.words import PRIOR_STRENGTH, influential_words
from semprune.data import dataset_spec
from semprune.data.modules.documents import DocumentDataModule
from semprune.errors import SettingError
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable
from semprune.study.config.schema import BackboneConfig
from semprune.types import Count, Limit, Positive


@dataclass
class InfluentialConfig:
    """Where words come from; configs/concepts/influential.yaml has these keys.

    Attributes:
        output: Folder for the YAML files, one per concept; with a slash at its end it can stand among a fit's concepts.
        backbone: The model whose input embeddings group the words, and that names the groups.
        dataset: Labelled data set; its documents reserved for fitting are read, those held out are not.
        limit: Texts; null for all. Fewer than some thousand give few words.
        labels: Classes to find words for; empty takes all.
        words: Words of each class at most.
        minimum_documents: Fewest documents of the class that hold a word.
        prior_strength: Pseudo-counts that hold back words of a handful of documents; lower finds more, and less sure.
        clusters: Groups of each class's words.
        name_by_model: Whether the model names the groups; otherwise their strongest word does.
    """

    output: str = "runs/influential"
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    dataset: str = "movie_reviews"
    limit: Limit = None
    labels: list[str] = field(default_factory=list)
    words: Count = 100
    minimum_documents: Count = 5
    prior_strength: Positive = PRIOR_STRENGTH
    clusters: Count = 6
    name_by_model: bool = False


def influential_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "influential",
        "Concepts from the words that speak for a class of a labelled data set.",
        "[--config FILE] [options]",
        ["semprune influential --config configs/concepts/influential.yaml"],
    )
    parser.add_argument("--config", action="config", help="YAML; influential is the shipped one")
    parser.add_class_arguments(InfluentialConfig)
    return parser


def influential(arguments: list[str]) -> None:
    """Run the command: write one YAML file per concept, and show them.

    Raises:
        SempruneError: Of the kind of what is wrong with the configuration, the data or the words.
    """
    parser = influential_parser()
    config = configured(parser, parser.parse_args(arguments), InfluentialConfig)
    spec = dataset_spec(config.dataset)
    for label in config.labels:
        if label not in spec.labels.classes:
            raise SettingError("labels", label, f"classes of {config.dataset}: {', '.join(spec.labels.classes) or '-'}")
    lm = load_backbone(config.backbone.name, dtype=config.backbone.dtype)
    data = DocumentDataModule([config.dataset], config.limit, max_length=2)  # words are read from the texts
    data.bind(lm).prepare_data()
    data.setup("fit")
    known = [(document.text, document.label) for document in data.train_documents if document.label is not None]
    table = WholeTable("concept", "words", title=f"influential words of {config.dataset}")
    source = f"influential words of {config.dataset}, {len(known)} fitting documents"
    texts, labels = [text for text, _ in known], [own for _, own in known]
    classes = config.labels or spec.labels.classes
    found = [concept for label in classes for concept in class_concepts(config, lm, texts, labels, label)]
    write_concepts(found, Path(config.output), source=source, licence=str(spec.licence))
    for concept in found:
        table.add_row(concept.name, ", ".join(concept.words))
    Terminal().print(table)
    Terminal().print(f"concepts: {config.output.rstrip('/')}/", soft_wrap=True)


def class_concepts(
    config: InfluentialConfig, lm: Backbone, texts: list[str], labels: list[str], label: str
) -> tuple[Concept, ...]:
    """Concepts of one class.

    Raises:
        ConceptWithoutEvidenceError: No word speaks for the class, or no group has enough words.
    """
    words = influential_words(
        texts, labels, label, most=config.words, minimum_documents=config.minimum_documents,
        prior_strength=config.prior_strength,
    )  # fmt: skip
    vectors = embed_words([word for word, _ in words], lm.tokenizer, lm.model.get_input_embeddings().weight.detach())
    concepts = influential_concepts(words, label, vectors, min(config.clusters, len(words)))
    slug = re.sub(r"[^a-z]+", "_", label.lower()).strip("_")
    return named_concepts(lm, concepts, slug) if config.name_by_model else concepts
