"""LightningCLI for ``fit`` and ``test``: one ``backbone`` group, short names of classes, results at the end."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.trainer import Trainer
from lightning.pytorch.trainer.states import TrainerFn

from semprune.attribution import NeuronSemanticAttribution
from semprune.attribution.fit.checkpoint import read_checkpoint
from semprune.attribution.semantic_loss.further_losses import FURTHER_LOSSES, check_losses
from semprune.cli.parsing.arguments import OneLineErrors, help_settings, refuse_empty
from semprune.cli.parsing.config_merging import without_former_list
from semprune.cli.parsing.shipped import with_shipped
from semprune.cli.parsing.tables import spell_tables
from semprune.data import (  # short names in configurations
    CalibrationDataModule,
    DocumentDataModule,
    EvaluationDataModule,
)
from semprune.errors import ConfigurationError, DataContractError, MissingPackageError, SempruneError
from semprune.io.provenance import RunClock
from semprune.io.terminal import Terminal
from semprune.pruning.callbacks.pruning import PruningCallback
from semprune.report import concept_summary, load_run, terminal_table, write_report
from semprune.study import PairedTrainer, further_tables, write_fit, write_test
from semprune.study.config.schema import BackboneConfig

LINKED = {"backbone": "name", "dtype": "dtype"}  # parameters of the module that come from the backbone group
SHORT_NAMES = (CalibrationDataModule, DocumentDataModule, EvaluationDataModule, PruningCallback, ModelCheckpoint,
               EarlyStopping, LearningRateMonitor, TensorBoardLogger, CSVLogger)  # fmt: skip

_MISSING = re.compile(r"Requirement '[^']+' not met|No module named '[^']+'")  # as Lightning and Python say it
_PART = re.compile(r"(--data\.(calibration|documents))(\+?(?:=(.*))?)")

USAGE = {
    "fit": help_settings(
        "Learn the neuron x concept association of a frozen language model.",
        "semprune fit --config configs/fit.yaml [options]",
        [
            "semprune fit --config configs/fit.yaml",
            "semprune fit --config configs/fit.yaml --model.sites [mlp,attention]",
            "semprune fit --config configs/fit.yaml --trainer configs/trainer/ddp.yaml",
            "semprune fit --data.help DocumentDataModule",
        ],
    ),
    "test": help_settings(
        "Score the dense and the pruned model on the same items; semantic loss.",
        "semprune test --config configs/test.yaml --ckpt_path CHECKPOINT [options]",
        [
            "semprune test --config configs/test.yaml --ckpt_path CHECKPOINT",
            "semprune test --config configs/test.yaml --ckpt_path CHECKPOINT \\",
            "      --data configs/data/sentiment.yaml --trainer.callbacks RIA \\",
            "      --trainer.callbacks.sparsity 0.5",
            "semprune test --data.help EvaluationDataModule",
        ],
    ),
}
TITLES = {
    "model": "The association",
    "data": "The data: a class and its settings (--data.help CLASS lists them)",
    "trainer": "Lightning's trainer: devices, callbacks, loggers",
}
"""Titles of groups, where the first line of a class's docstring is of use to programmers only."""

TRIED = "fast_dev_run: every step ran on a batch; nothing was written."


class LightningParser(OneLineErrors, LightningArgumentParser):
    """Parser of ``fit`` and ``test``."""

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Any:  # type: ignore[override]
        """Parse a command line, with the names of calibration and documents spelt out, dashes as underscores."""
        given = list(sys.argv[1:] if args is None else args)
        named = spell_tables(underscored(given), "data.") if given[:1] == ["test"] else underscored(given)
        spelt = spell_out(with_shipped(given[0] if given else "", named))
        return refuse_empty(spelt, super().parse_args(spelt, *more, **settings))

    def _check_value_key(self, action: Any, value: Any, key: str, cfg: Any, append: bool = False) -> Any:
        """A list of classes replaces the one of a configuration before, as a whole."""
        before = cfg if append else without_former_list(value, key, cfg)
        return super()._check_value_key(action, value, key, before, append=append)


def spell_out(arguments: Sequence[str]) -> list[str]:
    """Write in full which setting the name of a calibration set or the documents' data sets is.

    The others then stay as the configuration has them; a part that is null or a mapping is replaced as a whole.

    Args:
        arguments: A command line.

    Example:
        >>> spell_out(["--data.calibration", "wiki", "--data.documents=[cb]", "--data.calibration", "null"])
        ['--data.calibration.name', 'wiki', '--data.documents.datasets=[cb]', '--data.calibration', 'null']
    """
    named = {"calibration": "name", "documents": "datasets"}
    spelt = []
    for given, following in zip(arguments, [*arguments[1:], "null"], strict=True):
        if part := _PART.fullmatch(given):
            value = following if part[4] is None else part[4]
            if value != "null" and not value.startswith("{"):
                given = f"{part[1]}.{named[part[2]]}{part[3]}"
        spelt.append(given)
    return spelt


def underscored(arguments: Sequence[str]) -> list[str]:
    """Write names of options with underscores, as all of Lightning's are; values stay.

    Example:
        >>> underscored(["--ckpt-path", "a-b", "--trainer.fast-dev-run=true-ish", "-1"])
        ['--ckpt_path', 'a-b', '--trainer.fast_dev_run=true-ish', '-1']
    """
    parts = [given.partition("=") if given.startswith("--") else ("", "", given) for given in arguments]
    return [name[:2] + name[2:].replace("-", "_") + equals + value for name, equals, value in parts]


class SaveStageConfig(SaveConfigCallback):
    """Saves the configuration as ``config.fit.yaml`` or ``config.test.yaml``: a test may share a fit's folder."""

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Name the file after the stage, then save as ever."""
        self.config_filename = f"config.{stage.value if isinstance(stage, TrainerFn) else stage}.yaml"
        super().setup(trainer, pl_module, stage)


class SempruneCLI(LightningCLI):
    """LightningCLI with one ``backbone`` group shared by model and data."""

    trainer: PairedTrainer
    clock: RunClock

    def before_instantiate_classes(self) -> None:
        """Start the clock of the provenance."""
        self.clock = RunClock()

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """What Lightning runs for semprune; ``validate`` is part of ``fit``."""
        own = LightningCLI.subcommands()
        return {name: own[name] for name in ("fit", "test")}

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Put what is semprune's first; Lightning's long list of trainer flags comes last."""
        parser.add_class_arguments(BackboneConfig, "backbone")
        parser.add_lightning_class_args(NeuronSemanticAttribution, "model")
        parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True, required=False)
        parser.add_lightning_class_args(self.trainer_class, "trainer")
        parser.set_defaults({f"trainer.{name}": value for name, value in self.trainer_defaults.items()})
        groups = parser.groups or {}
        for group, title in TITLES.items():
            groups[group].title = title

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Hand the backbone to the model."""
        for target, source in LINKED.items():
            parser.link_arguments(f"backbone.{source}", f"model.{target}")
        text = f"further losses of test, some of {', '.join(FURTHER_LOSSES)}; their cost: docs/losses.md"
        parser.add_argument("--losses", type=list[str], default=[], help=text)

    def _parse_ckpt_path(self) -> None:
        """Take the module's settings from the checkpoint; Lightning lets them silently override given ones.

        Raises:
            CorruptArtefactError: The checkpoint cannot be read.
            ConfigurationError: A setting was given that the checkpoint contradicts.
        """
        name = self.config["subcommand"]
        path = self.config[name].get("ckpt_path")
        if path is None or path in ("last", "best", "hpc"):
            return
        settings, defaults = self.config[name].model, self._subcommand_parsers[name].get_defaults().model
        for key, value in read_checkpoint(Path(path)).get("hyper_parameters", {}).items():
            if key in LINKED or key not in settings:
                continue
            if settings[key] not in (value, defaults[key]):
                raise ConfigurationError(
                    f"model.{key} is {settings[key]}, but {path} was fitted with {value}. Leave it out, or fit again."
                )
            settings[key] = value

    def instantiate_classes(self) -> None:
        """Make model, data and trainer; what one of them refuses is said in its own words.

        Raises:
            SempruneError: A class refused its settings; jsonargparse lists that among what else the value is not.
            Or a package that it needs is not installed.
        """
        try:
            super().instantiate_classes()
        except (ValueError, ModuleNotFoundError) as error:
            if missing := _MISSING.search(str(error)):
                raise MissingPackageError(missing[0]) from error
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, SempruneError):
                cause = cause.__cause__
            raise cause or error from error

    def after_instantiate_classes(self) -> None:
        """Assert that links arrived: Lightning ignores one whose target has no such parameter."""
        stage = self.config["subcommand"]
        backbone, losses = self.config[stage].backbone, self.config[stage].losses
        if self.datamodule is None:
            raise ConfigurationError(f"semprune {stage} needs data: pass --data, as in configs/{stage}.yaml.")
        if stage == "test" and not isinstance(self.datamodule, EvaluationDataModule):
            raise DataContractError(type(self.datamodule).__name__, "is no EvaluationDataModule", "a test scores items")
        check_losses(losses)
        if losses and stage != "test":
            raise ConfigurationError(f"`losses` are measured by `semprune test`, not by {stage}: leave them out.")
        self.model.losses = list(losses)
        if not self.trainer.loggers:  # whose folder a run is otherwise written into
            own = next_version(Path(self.trainer.default_root_dir) / "lightning_logs" / stage)
            # Lightning offers no setting after the trainer is made
            self.trainer._default_root_dir = str(own)  # type: ignore[attr-defined]
        assert all(self.model.hparams[target] == backbone[source] for target, source in LINKED.items())

    def after_fit(self) -> None:
        """Show what was found, and where it is; a quick try leaves nothing."""
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it
            Terminal().print(TRIED)
            return
        folder = self.trainer.log_dir  # a collective call: every rank asks
        if self.trainer.is_global_zero and folder is not None:
            checkpoint = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
            console = Terminal()
            console.print(concept_summary(write_fit(self.model, Path(folder))))
            console.print(f"association: {folder}/association.safetensors", soft_wrap=True)
            console.print(f"checkpoint: {checkpoint}", soft_wrap=True)

    def after_test(self) -> None:
        """Write the tables and the page, and show dense against pruned; a quick try leaves nothing."""
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it
            Terminal().print(TRIED)
            return
        folder, further = self.trainer.log_dir, further_tables(self.model, self.trainer)  # every rank takes part
        if self.trainer.is_global_zero and folder is not None:
            run = write_test(self.model, self.trainer, Path(folder), self.clock, further)
            page = write_report(run)
            console = Terminal()
            console.print(terminal_table(load_run(run)))
            console.print(f"report: {page.resolve()}", soft_wrap=True)


def next_version(folder: Path) -> Path:
    """Return a folder's next ``version_N``, as Lightning's loggers number theirs; nothing is made.

    Example:
        >>> next_version(Path("lightning_logs/none/yet")).as_posix()
        'lightning_logs/none/yet/version_0'
    """
    taken = [int(path.name[8:]) for path in folder.glob("version_*") if path.name[8:].isdigit()]
    return folder / f"version_{max(taken, default=-1) + 1}"


def _without_interrupt(record: logging.LogRecord) -> bool:
    return "KeyboardInterrupt" not in record.getMessage()


def run_lightning(arguments: list[str]) -> None:
    """Run ``fit`` or ``test``, the first argument."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_without_interrupt)  # one line, from us
    import_module("semprune.pruning.callbacks.methods")  # here, where a method that is refused is one line
    LightningParser.classes = tuple(each.__name__ for kind in SHORT_NAMES for each in (kind.__subclasses__() or [kind]))
    SempruneCLI(
        NeuronSemanticAttribution,
        subclass_mode_data=True,
        trainer_class=PairedTrainer,
        trainer_defaults={"num_sanity_val_steps": 0, "max_epochs": 2},
        save_config_callback=SaveStageConfig,
        save_config_kwargs={"overwrite": True},
        parser_class=LightningParser,
        parser_kwargs=USAGE,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        args=None if arguments == sys.argv[1:] else arguments,  # Lightning warns where both are given
    )
