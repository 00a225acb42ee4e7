"""``semprune controls``: what an association would look like if there were nothing to find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch

from semprune.artefacts import write_table
from semprune.attribution.controls.control_task import control_task, random_weight_control
from semprune.attribution.controls.list_sensitivity import list_sensitivity
from semprune.attribution.controls.permutation import permutation_null
from semprune.attribution.fit.closed_form import fit_closed_form
from semprune.attribution.fit.fitted import fitted_association
from semprune.attribution.fit.learner import LearnerShape
from semprune.attribution.held_out.observations import Observations
from semprune.backbones import Backbone, load_backbone
from semprune.cli.gate_controls import GATES, GateControlConfig, check_gates, control_gates, gate_tables
from semprune.cli.parsing.arguments import Parser, command_parser, configured
from semprune.concepts import Concept, TokenLabeller, load_concepts
from semprune.data import dataset_spec
from semprune.errors import SettingError
from semprune.io.files import write_parquet
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable
from semprune.report.run.formats import small
from semprune.study.association import fit_documents
from semprune.study.config.schema import BackboneConfig, FitConfig
from semprune.types import Count, Filled, Level, Seed


@dataclass
class ControlsConfig:
    """Which controls; every key of configs/controls.yaml is one of these fields.

    Attributes:
        output: Folder for the tables, one per control.
        backbone: The model.
        fit: What is fitted on; ``epochs`` is not used, fits are closed forms.
        controls: Some of permutations, control_task, random_weights, word_lists, gates.
        seeds: One run of control_task and random_weights each, and one halving of word_lists.
        q: False discovery rate of the gate.
        permutations: Of whole documents; 200 resolve p = 0.005.
        neurons: Strongest neurons of each concept that are permuted.
        gates: The control of causal gates.
    """

    output: str = "runs/controls"
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    controls: Annotated[list[str], Filled("one control or more")] = field(default_factory=lambda: [*CONTROLS, GATES])
    seeds: Annotated[list[Seed], Filled("one seed or more")] = field(default_factory=lambda: [0])
    q: Level = 0.05
    permutations: Count = 200
    neurons: Count = 20
    gates: GateControlConfig = field(default_factory=GateControlConfig)


class Setting:
    """A model with its concepts and documents, as every control takes them."""

    def __init__(self, config: ControlsConfig, lm: Backbone) -> None:
        """Read the data."""
        fit, self.lm = config.fit, lm
        self.concepts = load_concepts(fit.concepts)
        self.data = fit_documents(fit, self.lm)
        self.data.prepare_data()
        self.data.setup("fit")
        self.labeller = TokenLabeller(self.concepts, self.lm.tokenizer).to(self.lm.device)
        vocabulary = self.lm.model.get_input_embeddings().num_embeddings
        names = tuple(concept.name for concept in self.concepts)
        self.shape = LearnerShape(names, self.data.classes, tuple(fit.datasets), fit.max_length, vocabulary)
        self.fit, self.held_out = self.data.train_dataloader, self.data.val_dataloader


def permutations(config: ControlsConfig, setting: Setting) -> pd.DataFrame:
    """The strongest neurons of every concept under permuted documents: concept, neuron, t, z and p of each."""
    learner = fit_closed_form(setting.lm, setting.labeller, setting.shape, setting.fit)
    association = fitted_association(learner, setting.lm.fingerprint, {}, config.q)
    best = {name: association.ranking(name).abs().topk(config.neurons).indices for name in association.concepts}
    rows = torch.unique(torch.cat(list(best.values())))
    observations = Observations(setting.lm, learner, setting.labeller, setting.fit)
    null = permutation_null(observations, rows, permutations=config.permutations, seed=config.seeds[0])
    place, names = {int(row): k for k, row in enumerate(rows)}, association.neurons
    return pd.DataFrame([
        {"concept": concept, "neuron": names[row], "discovery": bool(association.gate[row, c]),
         "t": float(association.t[row, c]), "z": float(null.z[place[row], c]), "p": float(null.p[place[row], c])}
        for c, concept in enumerate(association.concepts) for row in best[concept].tolist()
    ])  # fmt: skip


def over_seeds(
    run: Callable[[ControlsConfig, Setting, int], pd.DataFrame],
) -> Callable[[ControlsConfig, Setting], pd.DataFrame]:
    """A control that is run once per seed, as one table."""
    return lambda config, setting: pd.concat(
        [run(config, setting, seed).assign(seed=seed) for seed in config.seeds], ignore_index=True
    )


def _control_task(config: ControlsConfig, own: Setting, seed: int) -> pd.DataFrame:
    return control_task(own.lm, own.labeller, own.shape, own.fit, own.held_out, seed=seed)


def _random_weights(config: ControlsConfig, own: Setting, seed: int) -> pd.DataFrame:
    return random_weight_control(own.lm, own.labeller, own.shape, own.fit, own.held_out, q=config.q, seed=seed)


def _word_lists(config: ControlsConfig, own: Setting, seed: int) -> pd.DataFrame:
    def labeller(concepts: Sequence[Concept]) -> TokenLabeller:
        return TokenLabeller(concepts, own.lm.tokenizer).to(own.lm.device)

    return list_sensitivity(own.lm, own.concepts, labeller, own.shape, own.fit, seed=seed)


CONTROLS: dict[str, Callable[[ControlsConfig, Setting], pd.DataFrame]] = {
    "permutations": permutations,
    "control_task": over_seeds(_control_task),
    "random_weights": over_seeds(_random_weights),
    "word_lists": over_seeds(_word_lists),
}


def controls_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "controls",
        "Controls of an association: what would be found if there were nothing to find.",
        "[--config FILE] [options]",
        ["semprune controls --config configs/controls.yaml"],
    )
    parser.add_argument("--config", action="config", help="YAML of the controls; controls is the shipped one")
    parser.add_class_arguments(ControlsConfig)
    return parser


def controls(arguments: list[str]) -> None:
    """Run the command: write and show one table per control.

    Raises:
        SempruneError: Of the kind of what is wrong with the configuration or the data.
    """
    parser = controls_parser()
    config = configured(parser, parser.parse_args(arguments), ControlsConfig)
    check(config)
    console, said, folder = Terminal(), Terminal(stderr=True), Path(config.output)
    lm = load_backbone(config.backbone.name, dtype=config.backbone.dtype)
    setting = Setting(config, lm) if set(config.controls) != {GATES} else None
    for name in config.controls:
        said.print(name)
        if setting is None or name == GATES:
            tables = control_gates(config.gates, lm, lambda text: said.print(f"  {text}"))
            for own, table in tables.items():
                write_table(folder, own, table)
            console.print(*gate_tables(tables), sep="\n\n")
            continue
        table = CONTROLS[name](config, setting)
        write_parquet(folder / f"{name}.parquet", table)
        console.print(summary(name, table))
    console.print(f"tables: {config.output}", soft_wrap=True)


def check(config: ControlsConfig) -> None:
    """Refuse names and numbers that cannot be run, before any work starts.

    Raises:
        SettingError: A control is unknown.
        UnknownDatasetError: There is no such data set.
    """
    for name in config.controls:
        if name not in (*CONTROLS, GATES):
            raise SettingError("controls", name, f"some of {', '.join((*CONTROLS, GATES))}")
    if GATES in config.controls:
        check_gates(config.gates)
    for name in config.fit.datasets:
        dataset_spec(name)


def summary(name: str, table: pd.DataFrame) -> WholeTable:
    """Means over seeds and neurons, by concept or by weights."""
    key = "weights" if name == "random_weights" else "concept"
    means = table.groupby(key, sort=False).mean(numeric_only=True).drop(columns=["seed", "draw"], errors="ignore")
    shown = WholeTable(key, *means.columns, title=name.replace("_", " "))
    for label, row in means.iterrows():
        shown.add_row(str(label), *map(small, row))
    return shown
