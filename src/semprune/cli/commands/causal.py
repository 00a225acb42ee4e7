"""``semprune causal``: the causal check of a fitted association at several sizes, against every control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from semprune.artefacts import write_table
from semprune.attribution import Association, load_association
from semprune.attribution.ablation.ablated import ablated_runs, check_names
from semprune.attribution.ablation.carriers import carriers
from semprune.attribution.ablation.causal import causal_rows, check_dataset
from semprune.attribution.ablation.frontier import DOSES, dose_matched, frontier_points
from semprune.attribution.ablation.measurements import CausalRun
from semprune.attribution.ablation.neuron_sets import ASSOCIATION, top_neurons
from semprune.attribution.ablation.specificity import causal_specificity
from semprune.attribution.association.fitted_documents import require_held_out
from semprune.attribution.association.score import DEFAULT_COMBINATION, DEFAULT_RANKING
from semprune.attribution.gates.sources import domain_text
from semprune.attribution.monitoring import frontier_figure
from semprune.backbones import Backbone, load_backbone
from semprune.cli.parsing.arguments import Parser, command_parser, configured
from semprune.cli.targets import asked_rankings, check_own_rankings, class_label, ranked_target, target_concepts
from semprune.concepts import TokenLabeller, load_concepts
from semprune.data import CalibrationDataModule, DocumentDataModule, calibration_spec, load_items
from semprune.errors import ConfigurationError, DatasetUnavailableError, SettingError
from semprune.io.files import write_parquet
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable
from semprune.report.tables.carriers import carriers_text
from semprune.report.tables.frontier import dose_text, frontier_text
from semprune.study.config.schema import BackboneConfig, TextConfig
from semprune.types import Amount, Count, Filled, Item, Limit, Positive, Seed, Share

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
        ranking: How its neurons are ranked: score, strength, effect, t, raw_effect, or gates where they were learned.
            Tables call these neurons association where it is the default, else by the ranking's name.
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
        draws: Random draws of each random control; each reads the items and texts once at every share.
        carriers: First neurons of the ranking that are ablated one by one, and let go one by one of as many as the
            largest share has; each reads the items twice. 0 for none.
        domain_sequences: Sequences of documents of the data set that no fit trains on, joined and cut as the text: the
            frontier's text of the task's own domain; 0 for none.
        doses: Nats per token of other text at which the frontier compares rankings.
        seed: Of the draws and the bootstrap.
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
    shares: list[Share] = field(default_factory=lambda: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02])
    draws: Count = 20
    carriers: Amount = 10
    domain_sequences: Amount = 16
    doses: Annotated[list[Positive], Filled("one dose or more")] = field(default_factory=lambda: list(DOSES))
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
    """Run the command: write ``causal.parquet``, ``frontier.parquet``, ``frontier_doses.parquet`` and a figure.

    With ``carriers`` it writes ``carriers.parquet`` too, with ``specificity`` ``causal_specificity.parquet``.

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
    items, domain = load_items(config.dataset, limit=config.limit), _domain(config, association, lm)
    if len({item.label for item in items}) < 2:
        raise SettingError("limit", config.limit, f"enough that items of two classes of {config.dataset} are read")
    if (label := class_label(concepts, config.dataset)) is not None:
        console.print(f"  {concepts[0]} is told from all other classes of {config.dataset}")
    target, rankings = ranked_target(config, association, concepts, lm, config.dataset, items), {}
    for name in asked_rankings(config):
        console.print(f"  ranking: {name}")
        rankings[name] = target.ranked(name)
    runs = ablated_runs(
        lm, association, concepts, items, sequences, share=config.shares, draws=config.draws, seed=config.seed,
        token_budget=config.token_budget, first=text.first_predicted, rankings=rankings,
        labels=_labels(config.words, lm), by=config.ranking, combine=config.combine, divergence=True,
        domain=domain, label=label, progress=lambda name: console.print(f"  {name}"),
    )  # fmt: skip
    if config.ranking != DEFAULT_RANKING:  # which "association" stands for
        runs = [replace(each, runs=_named(each.runs, config.ranking)) for each in runs]
    table = causal_rows(runs, config.target, config.dataset)
    points = frontier_points(runs, config.target, config.dataset)
    matched = dose_matched(runs, config.target, config.dataset, doses=config.doses, seed=config.seed)
    write_table(folder, "causal", table)
    write_table(folder, "frontier", points)
    write_table(folder, "frontier_doses", matched)
    with SummaryWriter(str(folder / "lightning_logs" / "causal")) as board:
        board.add_figure("causal/frontier", frontier_figure(points))
    frontier = (frontier_text(points).printed(), dose_text(matched).printed())
    Terminal().print(causal_table(table), *frontier, sep="\n\n")
    if config.carriers:
        found = _carriers(config, lm, association, concepts, items, sequences if domain is None else domain, console)
        write_table(folder, "carriers", found)
        Terminal().print(carriers_text(found).printed(keys=1), end="\n\n")
    if config.specificity:
        labels = _labels(config.specificity, lm)
        assert labels is not None  # there are concepts
        found = causal_specificity(
            lm, association, config.specificity, labels, sequences, share=max(config.shares), draws=config.draws,
            seed=config.seed, by=config.ranking, progress=lambda name: console.print(f"  specificity of {name}"),
        )  # fmt: skip
        write_parquet(folder / "causal_specificity.parquet", found)


def _named(runs: Mapping[str, list[CausalRun]], ranking: str) -> dict[str, list[CausalRun]]:
    """The runs with the association's own set called by the ranking that chose it."""
    return {ranking if name == ASSOCIATION else name: own for name, own in runs.items()}


def _carriers(
    config: CausalCommandConfig,
    lm: Backbone,
    association: Association,
    concepts: list[str],
    items: list[Item],
    text: Tensor,
    console: Terminal,
) -> pd.DataFrame:
    """What the ranking's first neurons carry, of the largest set."""
    k = max(2, int(max(config.shares) * len(association.rms)))
    chosen = top_neurons(association, concepts, k, config.ranking, config.combine)
    found = carriers(
        lm, association, items, chosen, text, first=config.carriers, label=class_label(concepts, config.dataset),
        token_budget=config.token_budget, progress=lambda name: console.print(f"  carriers: {name}"),
    )  # fmt: skip
    about = {"target": config.target, "concepts": ", ".join(concepts), "dataset": config.dataset}
    return found.assign(**about, ranking=config.ranking)


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
    concepts = target_concepts(config, association)
    check_own_rankings([config.ranking, *config.rankings], association, concepts, config.combine)
    for name in config.specificity:
        check_own_rankings([config.ranking], association, [name], config.combine)
    return concepts


def _domain(config: CausalCommandConfig, association: Association, lm: Backbone) -> Tensor | None:
    """Documents of the data set that the fit held out, in sequences like the text's."""
    if not config.domain_sequences:
        return None
    documents, fitted = DocumentDataModule([config.dataset], max_length=config.text.length), association.fitted
    if fitted is not None:
        documents.validation_share, documents.seed = fitted.validation_share, fitted.seed
    documents.bind(lm)
    try:
        documents.prepare_data()
        documents.setup()
    except DatasetUnavailableError as error:
        raise ConfigurationError(
            f"the frontier reads documents of {config.dataset} that fits hold out, and there are none ({error}). "
            "Pass --domain_sequences 0 to read general text alone."
        ) from error
    require_held_out(fitted, documents.val_documents)
    return domain_text(lm, documents.val_documents, config.domain_sequences, config.text.length)


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
