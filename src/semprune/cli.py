"""The command line: LightningCLI for ``fit`` and ``test``, plain commands beside it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import jsonargparse
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from rich.console import Console
from rich.table import Table

from semprune.assets import asset_status, assets, ensure_asset, verify_asset
from semprune.attribution import NeuronSemanticAttribution
from semprune.data import (  # noqa: F401  # short names in configurations
    CalibrationDataModule,
    DocumentDataModule,
    EvaluationDataModule,
)
from semprune.errors import SempruneError
from semprune.prune_command import prune
from semprune.pruning.callbacks import RIA, Magnitude, SparseGPT, Wanda  # noqa: F401  # short names in configurations
from semprune.report import load_run, terminal_table, write_report, write_tables
from semprune.study import PairedTrainer, StudyConfig, run_study
from semprune.study.config import BackboneConfig

HELP = """usage: semprune COMMAND [options]

What pruning destroys in a language model, and in which neurons.

  fit     --config configs/fit.yaml                  learn the neuron x concept association
  test    --config configs/test.yaml --ckpt_path …   score dense and pruned model, semantic loss
  prune   --config configs/prune/wanda.yaml          a pruned model as a Hugging Face folder, its masks
  study   --config configs/study/quickstart.yaml     the whole job: fit, prune, evaluate, report
  report  RUN_DIR                                    HTML page and tables of a study
  assets  list | get NAME … | verify NAME …          offline models and data

semprune COMMAND --help says more."""


class SempruneCLI(LightningCLI):
    """LightningCLI with one ``backbone`` group shared by model and data."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Put the backbone first, and hand it to the model."""
        parser.add_class_arguments(BackboneConfig, "backbone")
        parser.link_arguments("backbone.name", "model.backbone")
        parser.link_arguments("backbone.dtype", "model.dtype")


def _lightning(arguments: list[str]) -> None:
    SempruneCLI(
        NeuronSemanticAttribution,
        subclass_mode_data=True,
        trainer_class=PairedTrainer,
        trainer_defaults={"num_sanity_val_steps": 0, "max_epochs": 2},
        save_config_kwargs={"overwrite": True},
        seed_everything_default=0,
        auto_configure_optimizers=False,
        args=None if arguments == sys.argv[1:] else arguments,  # Lightning warns where both are given
    )


def _study(arguments: list[str]) -> None:
    parser = jsonargparse.ArgumentParser(prog="semprune study", description="Fit, prune, evaluate, report.")
    parser.add_argument("--config", action="config", help="a study's YAML; see configs/study/")
    parser.add_class_arguments(StudyConfig)
    settings = vars(parser.instantiate(parser.parse_args(arguments)))
    _show(run_study(StudyConfig(**{name: value for name, value in settings.items() if name != "config"})))


def _report(arguments: list[str]) -> None:
    parser = jsonargparse.ArgumentParser(prog="semprune report", description="HTML page and tables of a study.")
    parser.add_argument("run_dir", type=Path, help="run folder of a study")
    _show(parser.parse_args(arguments).run_dir)


def _show(run: Path) -> None:
    page = write_report(run)
    write_tables(run)
    console = Console()
    console.print(terminal_table(load_run(run)))
    console.print(f"report: {page.resolve()}", soft_wrap=True)


def _assets(arguments: list[str]) -> None:
    parser = jsonargparse.ArgumentParser(prog="semprune assets", description="Offline models and data.")
    parser.add_argument("action", choices=["list", "get", "verify"], help="what to do")
    parser.add_argument("names", nargs="*", help="assets; all where none is named")
    parser.add_argument("--accept-non-commercial", action="store_true", help="fetch non-commercial assets too")
    parser.add_argument("--force", action="store_true", help="fetch again what is there")
    parsed = parser.parse_args(arguments)
    console = Console()
    if parsed.action == "list":
        console.print(_asset_table())
        return
    for name in parsed.names or assets():
        if parsed.action == "get":
            folder = ensure_asset(name, accept_non_commercial=parsed.accept_non_commercial, force=parsed.force)
            console.print(f"{name}: {folder}", soft_wrap=True)
        else:
            verify_asset(name)
            console.print(f"{name}: verified")


def _asset_table() -> Table:
    table = Table("asset", "state", "MB", "licence", "what it is", title="offline packages")
    for name, asset in assets().items():
        state = asset_status(name).state
        licence = f"{asset.licence} (non-commercial)" if asset.non_commercial else asset.licence
        table.add_row(name, state, f"{asset.size_bytes / 1e6:.0f}", licence, asset.about)
    return table


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "fit": lambda arguments: _lightning(["fit", *arguments]),
    "test": lambda arguments: _lightning(["test", *arguments]),
    "prune": prune,
    "study": _study,
    "report": _report,
    "assets": _assets,
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors that a user can cause are one line and exit status 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(HELP + "\n")
        return 0
    console = Console(stderr=True)
    if given[0] not in COMMANDS:
        known = ", ".join(COMMANDS)
        console.print(f"unknown command '{given[0]}'. Known: {known}.", markup=False)
        return 2
    # Lightning advises more workers than there are cores to gain from, and its own tree utilities warn
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    try:
        COMMANDS[given[0]](given[1:])
    except SempruneError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
        return 2
    return 0
