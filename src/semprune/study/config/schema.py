"""What a study is made of; every key of a study's YAML is one of these fields."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from semprune.artefacts import guided_calibration
from semprune.attribution.gates.settings import GateSettings
from semprune.data.settings import ChatSettings, chat_settings
from semprune.pruning.settings import PruneSettings
from semprune.types import (
    Amount,
    Count,
    Filled,
    Length,
    Limit,
    NonNegative,
    PartOrNone,
    Positive,
    Range,
    Seed,
    Share,
    Sparsity,
)


@dataclass
class BackboneConfig:
    """The frozen language model.

    Attributes:
        name: Embedded name, hub name, local folder or GGUF file.
        dtype: float32, bfloat16, float16 or auto (bfloat16 where the hardware multiplies it natively).
    """

    name: str = "smollm2-135m"
    dtype: str = "float32"


@dataclass
class FitConfig:
    """How the association is learned.

    Attributes:
        datasets: Data sets with documents reserved for fitting.
        limit: Texts of each; null for all.
        max_length: Tokens kept of each text.
        batch_size: Texts in a batch.
        epochs: One solves, the others learn; at least 2.
        concepts: Token-level concepts.
        gates: Classes of the data sets, and concepts of words, whose causal gates are learned too; the causal check
            then has a row of them. They take longer than all else of a fit.
        gate_share: Share of all neurons whose gates close, of each of them.
        gate_budget: Most divergence from the dense model on other text, in nats per token.
        gate_steps: Steps that gates are learned in.
    """

    datasets: Annotated[list[str], Filled("one data set or more")] = field(
        default_factory=lambda: ["movie_reviews", "amazon_reviews", "bbc_news"]
    )
    limit: Limit = 400
    max_length: Length = 128
    batch_size: Count = 32
    epochs: Annotated[int, Range(2)] = 2
    concepts: Annotated[list[str], Filled("one concept or more")] = field(default_factory=lambda: ["default"])
    gates: list[str] = field(default_factory=list)
    gate_share: Share = GateSettings.share
    gate_budget: Positive = GateSettings.budget
    gate_steps: Count = GateSettings.steps


@dataclass
class CausalConfig:
    """Causal check of the association.

    Attributes:
        family: Task family whose classes, over the fitting data sets, are ablated.
        dataset: Binary data set whose held-out items are scored.
        limit: Its items.
        share: Share of all neurons to ablate.
        draws: Random draws of each control.
    """

    family: str = "sentiment"
    dataset: str = "movie_reviews"
    limit: Count = 200
    share: Share = 0.01
    draws: Count = 2


@dataclass
class TextConfig:
    """Held-out text for the perplexity.

    Attributes:
        calibration: Name of a calibration set that no method is calibrated on.
        sequences: Number of sequences.
        length: Tokens of each, special tokens included.
        add_bos: Whether each sequence begins with BOS; null as the tokenizer begins every text, false never, as the
            pruning papers cut their windows, true always.
    """

    calibration: str = "wiki"
    sequences: Count = 16
    length: Length = 256
    add_bos: bool | None = None


@dataclass
class ScreeningConfig:
    """What the dense model can do, and how it is asked: decided on items that are never evaluated.

    Attributes:
        items: Items of each data set that are kept back, at most a fifth of it.
        margin: A data set counts for its family where the dense model's interval lies above guessing by this part of
            the way to a perfect score.
        wordings: ``best`` asks sentiment, similarity and topic sets in the wording that the dense model answers best,
            ``first`` in the first of each; a ``prompt`` of the study goes before both.
    """

    items: Count = 100
    margin: PartOrNone = 0.1
    wordings: Literal["best", "first"] = "best"


@dataclass
class EngineConfig:
    """What runs the cells.

    Attributes:
        name: ``local`` (processes on this machine), ``ray`` (a Ray cluster, or one started here) or ``slurm``.
        workers: Processes, Ray tasks or SLURM jobs at a time.
        cpus: Cores of each.
        gpus: GPUs of each; with Ray it may be a share of one.
        options: With SLURM, submitit's parameters (slurm_partition, timeout_min, …) and ``cluster: local`` to try a
            study without SLURM; with Ray, arguments of ``ray.init``.
    """

    name: str = "local"
    workers: Count = 1
    cpus: Count = 1
    gpus: NonNegative = 0.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class StudyConfig:
    """A grid of pruned models, each measured against the dense one.

    Attributes:
        output: Run folder: tables and report.
        store: Folder of finished cells, which studies share; a killed study continues there.
        backbone: The model.
        backbones: More models, by name, each with the dtype of ``backbone``.
        fit: How the association is learned.
        causal: Causal check of the association; null for none.
        methods: Pruning methods. Options stand behind a name: ria:permutation=assignment.
        sparsities: Shares of weights to remove; may be empty where there are patterns.
        patterns: N:M patterns, beside the sparsities: 2:4 keeps two of four.
        calibrations: Calibration sets or mixtures (c4*0.5+wiki*0.5); methods that look at no data run once.
        protect: What prunings keep beside each calibration set, each in pruned models of its own, next to those that
            keep nothing: names (a family, data set, class, concept or file), or name*strength (sentiment*3,
            sentiment*auto); sentiment+trec keeps both. name@even, name@place and name@permuted are controls of how
            tokens count, see :class:`semprune.Protection`.
        calibration_sequences: Number of calibration sequences, or several to compare.
        calibration_length: Tokens of each, or several to compare; special tokens included.
        calibration_add_bos: Whether each of them begins with BOS; null as the tokenizer begins every text, false never,
            as the pruning papers cut their windows, true always.
        statistics: ``sequential`` (as published: earlier blocks are pruned already) or ``dense`` (one pass over the
            dense model serves all methods and sparsities of a calibration).
        seeds: Seeds of calibration.
        datasets: Evaluated data sets, and paths of own tables (.csv, .json, .jsonl, .parquet).
        text_column: Column of the texts of own tables; null for text. --text COLUMN is short for it.
        label_column: Column of the labels of own tables; null for label. --label COLUMN is short for it.
        limit: Items of each; null for all.
        token_budget: Padded tokens of a scoring batch.
        prompt: Name of a prompt that all data sets have, or all (every wording of each); null for the first of each.
        screening: Which data sets the dense model can do and in which wording, on items kept back for it; null for
            none, which evaluates every item.
        shots: Answered examples before each item; 0 is zero-shot, the default of pruning papers.
        chat: Ask as a chat, with the tokenizer's own template: true, or its options, date and thought.
        text: Held-out text for the perplexity.
        neurons_per_concept: Neuron cards of each concept.
        sentence_encoder: Package of the encoder that says how diverse and how alike texts are
            (minilm, 84 MB); null for none.
        engine: What runs the cells.
        losses: Further semantic losses of every pruned model, some of readout and causal; each reads the held-out
            documents again, readout in two forwards, causal in two forwards and a backward.
    """

    output: str = "runs/study"
    store: str = "runs/store"
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    backbones: list[str] = field(default_factory=list)
    fit: FitConfig = field(default_factory=FitConfig)
    causal: CausalConfig | None = field(default_factory=CausalConfig)
    methods: list[str] = field(default_factory=lambda: ["magnitude", "wanda"])
    sparsities: list[Sparsity] = field(default_factory=lambda: [0.5])
    patterns: list[str] = field(default_factory=list)
    calibrations: list[str] = field(default_factory=lambda: ["c4"])
    protect: list[str] = field(default_factory=list)
    calibration_sequences: Count | list[Count] = 32
    calibration_length: Length | list[Length] = 256
    calibration_add_bos: bool | None = None
    statistics: str = PruneSettings.statistics
    seeds: list[Seed] = field(default_factory=lambda: [0])
    datasets: list[str] = field(
        default_factory=lambda: ["sst2", "movie_reviews", "amazon_reviews", "mrpc", "piqa", "bbc_news"]
    )
    text_column: str | None = None
    label_column: str | None = None
    limit: Limit = 200
    token_budget: Count = 4096
    prompt: str | None = None
    screening: ScreeningConfig | None = None
    shots: Amount = 0
    chat: bool | ChatSettings = False
    text: TextConfig = field(default_factory=TextConfig)
    neurons_per_concept: Count = 4
    sentence_encoder: str | None = None
    engine: EngineConfig = field(default_factory=EngineConfig)
    losses: list[str] = field(default_factory=list)

    @property
    def spoken(self) -> ChatSettings | None:
        """How a chat is asked, with every default; None where none is."""
        return chat_settings(self.chat)

    @property
    def screened(self) -> int:
        """Items of each data set that are kept back for screening."""
        return 0 if self.screening is None else self.screening.items

    @property
    def all_calibrations(self) -> list[str]:
        """Every calibration, alone and with each thing that is protected."""
        alone, kept = self.calibrations, self.protect
        return [*alone, *(guided_calibration(name, protected) for name in alone for protected in kept)]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Every number of calibration sequences with every length."""
        sequences, lengths = (
            [given] if isinstance(given, int) else given
            for given in (self.calibration_sequences, self.calibration_length)
        )
        return [(number, length) for number in sequences for length in lengths]


def one_backbone_each(config: StudyConfig) -> list[StudyConfig]:
    """The studies of single backbones that a study is made of."""
    if not config.backbones:
        return [config]
    names = [config.backbone.name, *config.backbones]
    return [
        replace(config, backbone=BackboneConfig(name, config.backbone.dtype), backbones=[],
                output=str(Path(config.output) / name.replace("/", "--").lstrip(".-")))
        for name in names
    ]  # fmt: skip
