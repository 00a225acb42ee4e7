"""``semprune mediate``: which neurons' changed activations explain what pruning cost a task."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby, product
from pathlib import Path
from typing import Annotated

import pandas as pd
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch import Tensor

from semprune.artefacts import Cell, split_calibration, with_cell, write_table
from semprune.attribution import Association, load_association
from semprune.attribution.ablation import mediation
from semprune.attribution.ablation.causal import check_dataset
from semprune.attribution.ablation.neuron_sets import require_named
from semprune.attribution.ablation.patching import Positions
from semprune.attribution.association.score import DEFAULT_COMBINATION, DEFAULT_RANKING
from semprune.backbones import Backbone, load_backbone
from semprune.cli.parsing.arguments import Parser, command_parser, configured
from semprune.cli.targets import asked_rankings, check_own_rankings, class_label, ranked_target, target_concepts
from semprune.concepts import load_concepts
from semprune.data import CalibrationDataModule, dataset_spec, load_items
from semprune.data.prompts.render import find_prompt
from semprune.errors import SettingError
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable
from semprune.pruning import prune_model
from semprune.pruning.guidance.reading import check_named
from semprune.report.tables.mediation import mediation_text
from semprune.report.tables.text_table import TextTable
from semprune.study.cell.shared import protected
from semprune.study.config.grid import pruned_cells
from semprune.study.config.schema import BackboneConfig, StudyConfig
from semprune.types import Amount, Count, Filled, Item, Length, Limit, Range, Seed, Share, Sparsity


@dataclass
class MediateConfig:
    """Which models are compared, whose activations are patched, and what is measured.

    Attributes:
        run: Folder with association.safetensors; mediation.parquet there is written anew.
        output: Another folder for the table.
        backbone: The model.
        methods: Pruning methods; each makes a pruned model from the dense one. Options stand behind a name:
            ria:permutation=assignment.
        sparsity: Share of each matrix's weights that is set to zero.
        pattern: N:M instead of the sparsity, in quotes; 2:4 keeps two of four.
        calibrations: Calibration sets or mixtures; methods that look at no data run once.
        protect: What prunings keep beside each of them, in pruned models of its own, as in a study: a name,
            ``name*strength``, or ``name+name``. A guided pruning should leave alone what carries what is named.
        calibration_sequences: Number of calibration sequences.
        calibration_length: Tokens of each, special tokens included.
        target: What neurons are ranked for; a task family where ``concepts`` is empty.
        concepts: Columns of the association; empty takes the family's classes. Of a single class, as trec.number,
            the AUROC is that of its label against all others wherever its own data set is scored.
        combine: What counts where ``concepts`` has words and classes: documents (classes alone), sum, ranks or product.
        words: Concepts that stand for the target in rankings that know words only.
        rankings: Whose first neurons are patched: names of the association's, or of those that it is compared with
            (docs/attribution.md).
        gradient_items: Further items of the first data set, for the rankings by gradients; 0 leaves these out.
        documents: Texts of each fitting data set, for rankings that are made from documents; null for all.
        datasets: Data sets with classes, whose held-out items are scored.
        prompt: Name of the prompt that they are asked in; null for the first of each.
        limit: Items of each.
        share: Share of all neurons that is patched.
        layers: First and last layer of those, as [0, 14]: the others of the same share are left; null for all.
        positions: Where they are patched, one or several of all, before_readout and readout: a late neuron at the
            readout that carries the verdict restores it trivially.
        reversed_too: Whether pruned activations are patched into the dense model too, which takes as long again.
        draws: Draws of matched neurons, 2 or more.
        seed: Of the calibration sequences and the draws.
        token_budget: Padded tokens of a scoring batch.
    """

    run: str = "runs/quickstart"
    output: str | None = None
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    methods: Annotated[list[str], Filled("one method or more")] = field(default_factory=lambda: ["wanda"])
    sparsity: Sparsity = 0.5
    pattern: str | None = None
    calibrations: Annotated[list[str], Filled("one calibration set or more")] = field(default_factory=lambda: ["c4"])
    protect: list[str] = field(default_factory=list)
    calibration_sequences: Count = 32
    calibration_length: Length = 256
    target: str = "sentiment"
    concepts: list[str] = field(default_factory=list)
    combine: str = DEFAULT_COMBINATION
    words: list[str] = field(default_factory=lambda: ["sentiment.positive", "sentiment.negative"])
    rankings: Annotated[list[str], Filled("one ranking or more")] = field(
        default_factory=lambda: [DEFAULT_RANKING, "mean_ablation_gradient"]
    )
    gradient_items: Amount = 64
    documents: Limit = 400
    datasets: Annotated[list[str], Filled("one data set or more")] = field(default_factory=lambda: ["movie_reviews"])
    prompt: str | None = None
    limit: Count = 200
    share: Share = 0.01
    layers: list[Amount] | None = None
    positions: Annotated[list[Positions], Filled("one place or more")] = field(default_factory=lambda: ["all"])
    reversed_too: bool = True
    draws: Annotated[int, Range(2)] = 3
    seed: Seed = 0
    token_budget: Count = 1024


def mediate_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "mediate",
        "Which neurons' changed activations explain what pruning cost a task?",
        "--config configs/mediate.yaml [options]",
        [
            "semprune mediate --config configs/mediate.yaml",
            "semprune mediate --run runs/quickstart --methods [wanda,sparsegpt]",
            "semprune mediate --run runs/quickstart --positions [all,before_readout]",
            "semprune mediate --run runs/quickstart --layers [0,14] --output runs/early",
            "semprune mediate --run runs/quickstart --protect [amazon_reviews]",
        ],
    )
    parser.add_argument("--config", action="config", help="YAML of the run; see configs/mediate.yaml")
    parser.add_class_arguments(MediateConfig)
    return parser


def mediate(arguments: list[str]) -> None:
    """Run the command: write ``mediation.parquet`` and print it.

    Raises:
        SempruneError: Of the kind of what is wrong with the configuration, the artefacts or the data.
    """
    parser = mediate_parser()
    config = configured(parser, parser.parse_args(arguments), MediateConfig)
    association = load_association(Path(config.run) / "association.safetensors")
    concepts = _checked(config, association)
    lm = load_backbone(config.backbone.name, dtype=config.backbone.dtype)
    association.require(lm.fingerprint)
    console, folder = Terminal(stderr=True), Path(config.output or config.run)
    items = {name: load_items(name, limit=config.limit, prompt=config.prompt) for name in config.datasets}
    for name, own in items.items():
        mediation.check_label(own, class_label(config.concepts, name))
    every = [item for own in items.values() for item in own]
    target, rankings = ranked_target(config, association, concepts, lm, config.datasets[0], every), {}
    for name in asked_rankings(config):
        console.print(f"  ranking: {name}")
        rankings[name] = target.ranked(name)
        require_named(name, rankings[name], max(1, int(config.share * len(association.rms))))
    tables, labels = [], []
    for cell, pruned in _pruned(config, lm, console):
        for own, positions in product(items.values(), config.positions):
            table = _mediated(config, lm, pruned, association, own, rankings, positions, console)
            tables.append(with_cell(table.assign(target=config.target), cell, str(lm.fingerprint)))
            labels += [cell.label] * len(table)
    found = pd.concat(tables, ignore_index=True)
    write_table(folder, "mediation", found)
    text = mediation_text(found.assign(setting=labels))
    Terminal().print(*mediation_tables(text), text.caption, sep="\n")


def _checked(config: MediateConfig, association: Association) -> list[str]:
    """Refuse wrong names before the model is loaded; the columns that stand for the target."""
    for name in config.datasets:
        check_dataset("datasets", name)
        find_prompt(dataset_spec(name), config.prompt)
    for name in config.calibrations:
        CalibrationDataModule(name, config.calibration_sequences, config.calibration_length)
    for kept in config.protect:
        check_named(kept)
    if config.layers is not None and len(config.layers) != 2:
        raise SettingError("layers", config.layers, "a first and a last layer, as [0, 14]")
    if config.layers is not None:
        mediation.neurons_inside(association, (config.layers[0], config.layers[1]))
    list(pruned_cells(_grid(config)))
    load_concepts(config.words)
    asked_rankings(config)
    concepts = target_concepts(config, association)
    check_own_rankings(config.rankings, association, concepts, config.combine)
    return concepts


def _pruned(config: MediateConfig, lm: Backbone, console: Terminal) -> Iterator[tuple[Cell, Backbone]]:
    """Each pruned model, one at a time in memory beside the dense one."""
    for cell in pruned_cells(_grid(config)):
        console.print(f"  pruning: {cell.label}")
        ids = None
        if cell.calibration:
            name, _ = split_calibration(cell.calibration)
            text = CalibrationDataModule(name, cell.sequences, cell.length, cell.seed)
            ids = text.bind(lm).calibration_input_ids().to(lm.device)
        pruned = replace(lm, model=copy.deepcopy(lm.model))
        prune_model(pruned, ids, method=cell.method, protect=protected(cell), **cell.settings)
        yield cell, pruned


def _grid(config: MediateConfig) -> StudyConfig:
    return StudyConfig(
        methods=config.methods, calibrations=config.calibrations, protect=config.protect, seeds=[config.seed],
        sparsities=[config.sparsity] if config.pattern is None else [],
        patterns=[] if config.pattern is None else [config.pattern],
        calibration_sequences=config.calibration_sequences, calibration_length=config.calibration_length,
    )  # fmt: skip


def _mediated(
    config: MediateConfig,
    dense: Backbone,
    pruned: Backbone,
    association: Association,
    items: list[Item],
    rankings: dict[str, Tensor],
    positions: Positions,
    console: Terminal,
) -> pd.DataFrame:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{items[0].dataset}, {positions}", total=None)
        label = class_label(config.concepts, items[0].dataset)
        found = mediation.mediate(
            dense, pruned, association, items, rankings, label=label,
            share=config.share, positions=positions,
            layers=None if config.layers is None else (config.layers[0], config.layers[1]),
            reversed_too=config.reversed_too, draws=config.draws, seed=config.seed, token_budget=config.token_budget,
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )  # fmt: skip
    return found.assign(label="" if label is None else config.concepts[0].partition(".")[2])


def mediation_tables(text: TextTable) -> Iterator[WholeTable]:
    """A table for each data set, pruned model and place: what all of its rows share stands in the title."""
    for shared, rows in groupby(text.rows, key=lambda row: row[:3]):
        table = WholeTable(title=", ".join(shared), box=None, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("patched neurons", no_wrap=True)
        for title in text.header[5:]:
            table.add_column(title.replace(", ", ",\n").replace(" ", "\n"), justify="right", no_wrap=True)
        for ranking, own in groupby(rows, key=lambda row: row[3]):
            if ranking:
                table.add_row(f"by {ranking}")
            for row in own:
                table.add_row(f"  {row[4]}", *row[5:])
        yield table
