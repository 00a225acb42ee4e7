"""``semprune causal``: the causal check of a fitted association at several sizes, against every control."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from semprune.attribution import Association, causal_check, load_association
from semprune.attribution.ablation.causal import check_dataset, check_names
from semprune.attribution.ablation.specificity import causal_specificity
from semprune.attribution.association.score import DEFAULT_COMBINATION, DEFAULT_RANKING
from semprune.backbones import Backbone, load_backbone
from semprune.cli.arguments import Parser, command_parser, configured
from semprune.cli.targets import asked_rankings, ranked_target, target_concepts
from semprune.concepts import TokenLabeller, load_concepts
from semprune.data import CalibrationDataModule, calibration_spec, load_items
from semprune.errors import ConfigurationError
from semprune.io.files import write_parquet
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable
from semprune.study.config.schema import BackboneConfig, TextConfig
from semprune.types import Amount, Count, Limit, Seed, Share

SURE = 0.05


@dataclass
class CausalCommandConfig:
    """What is ablated and what is measured.

    Attributes:
        run: Folder with association.safetensors; causal.parquet there is written anew.
        output: Another folder for the tables.
        backbone: The model.
        target: What is ablated; a task family where ``concepts`` is empty.
        concepts: Columns of the association; empty takes the family's classes.
        ranking: How its neurons are ranked: strength, effect, t, score or raw_effect.
        combine: What counts where ``concepts`` has words and classes: documents (classes alone), sum, ranks or product.
        words: Concepts whose words' log-probability is measured.
        specificity: Concepts with words that are ablated in turn and measured on each other.
        dataset: Binary data set whose held-out items are scored.
        limit: Its items.
        rankings: Further rankings whose first neurons are ablated too: names of the association's, or of those that it
            is compared with (docs/attribution.md). One that knows words only ranks for those of ``concepts``, else for
            ``words``.
        gradient_items: Further items, for the rankings by gradients; 0 leaves these out.
        documents: Texts of each fitting data set, for rankings that are made from documents; null for all.
        shares: Shares of all neurons.
        draws: Random draws of each random control.
        seed: Of the draws.
        token_budget: Padded tokens of a scoring batch.
        text: Held-out text for perplexity and word log-probability.
    """

    run: str = "runs/quickstart"
    output: str | None = None
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    target: str = "sentiment"
    concepts: list[str] = field(default_factory=list)
    ranking: str = DEFAULT_RANKING
    combine: str = DEFAULT_COMBINATION
    words: list[str] = field(default_factory=lambda: ["sentiment.positive", "sentiment.negative"])
    specificity: list[str] = field(default_factory=list)
    dataset: str = "movie_reviews"
    limit: Count = 200
    rankings: list[str] = field(default_factory=lambda: ["gradient_activation", "mean_ablation_gradient"])
    gradient_items: Amount = 64
    documents: Limit = 400
    shares: list[Share] = field(default_factory=lambda: [0.0025, 0.005, 0.01, 0.02])
    draws: Count = 3
    seed: Seed = 0
    token_budget: Count = 4096
    text: TextConfig = field(default_factory=TextConfig)


def causal_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "causal",
        "Does ablating the association's neurons hurt what they stand for, and what else?",
        "--config configs/causal.yaml [options]",
        [
            "semprune causal --config configs/causal.yaml",
            "semprune causal --run runs/quickstart --target topic --dataset sms_spam",
            "semprune causal --run runs/quickstart --shares [0.01] --output runs/check",
            "semprune causal --run runs/quickstart --rankings [effect,lape,probe]",
        ],
    )
    parser.add_argument("--config", action="config", help="YAML of the check; causal is the shipped one")
    parser.add_class_arguments(CausalCommandConfig)
    return parser


def causal(arguments: list[str]) -> None:
    """Run the command: write ``causal.parquet``, with ``specificity`` also ``causal_specificity.parquet``.

    Raises:
        SempruneError: Of the kind of what is wrong with the configuration, the artefacts or the data.
    """
    parser = causal_parser()
    config = configured(parser, parser.parse_args(arguments), CausalCommandConfig)
    association = load_association(Path(config.run) / "association.safetensors")
    concepts = target_columns(config, association)
    lm = load_backbone(config.backbone.name, dtype=config.backbone.dtype)
    association.require(lm.fingerprint)
    console, folder = Terminal(stderr=True), Path(config.output or config.run)
    text = CalibrationDataModule(
        config.text.calibration, config.text.sequences, config.text.length, add_bos=config.text.add_bos
    )
    sequences = text.bind(lm).calibration_input_ids()
    items = load_items(config.dataset, limit=config.limit)
    target, rankings = ranked_target(config, association, concepts, lm, config.dataset, items), {}
    for name in asked_rankings(config):
        console.print(f"  ranking: {name}")
        rankings[name] = target.ranked(name)
    table = causal_check(
        lm, association, concepts, items, sequences, target=config.target, share=config.shares, draws=config.draws,
        seed=config.seed, token_budget=config.token_budget, first=text.first_predicted, rankings=rankings,
        labels=_labels(config.words, lm), by=config.ranking, combine=config.combine,
        progress=lambda name: console.print(f"  {name}"),
    )  # fmt: skip
    write_parquet(folder / "causal.parquet", table)
    Terminal().print(causal_table(table))
    if config.specificity:
        labels = _labels(config.specificity, lm)
        assert labels is not None  # there are concepts
        found = causal_specificity(
            lm, association, config.specificity, labels, sequences, share=max(config.shares), draws=config.draws,
            seed=config.seed, by=config.ranking, progress=lambda name: console.print(f"  specificity of {name}"),
        )  # fmt: skip
        write_parquet(folder / "causal_specificity.parquet", found)


def target_columns(config: CausalCommandConfig, association: Association) -> list[str]:
    """Columns to ablate: those named, or the classes of the family's data sets; refuses wrong names.

    Raises:
        UnknownConceptError: A name is none of the association's, or no concept with words.
        UnknownDatasetError: There is no such data set.
        SettingError: There is no such ranking, or a row of every check has its name.
        ConfigurationError: There is no such column, or no share.
    """
    check_dataset("dataset", config.dataset)
    calibration_spec(config.text.calibration)
    check_names(config.rankings)
    asked_rankings(config)
    load_concepts([*config.words, *config.specificity])
    for name in config.specificity:
        association.column(name)
    if not config.shares:
        raise ConfigurationError("`shares` is empty: name at least one share of neurons to ablate.")
    return target_concepts(config, association)


def causal_table(table: pd.DataFrame) -> WholeTable:
    """Values by share and set, with the excess over matched random neurons; the file holds the intervals."""
    metrics = list(dict.fromkeys(table["metric"]))
    title = f"after mean-ablation (against matched random; * p < {SURE})"
    shown = WholeTable("neurons", "set", *metrics, title=title, keys=2)
    for (k, name), rows in table.groupby(["k", "selection"], sort=False):
        by_metric = rows.drop_duplicates("metric").set_index("metric")  # shares of a small model may be of one size
        cells = []
        for metric in metrics:
            row = by_metric.loc[metric]
            excess = f" ({row['excess']:+.3g}{'*' if row['excess_p'] < SURE else ''})"
            cells.append(f"{row['value']:.4g}" + ("" if name in ("dense", "matched_random") else excess))
        shown.add_row(str(k), str(name), *cells)
    return shown


def _labels(names: list[str], lm: Backbone) -> TokenLabeller | None:
    return TokenLabeller(load_concepts(names), lm.tokenizer).to(lm.device) if names else None
