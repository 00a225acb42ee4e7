"""The command line: plain commands, and LightningCLI for ``fit`` and ``test``."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from semprune.arguments import Parser
from semprune.assets import asset_status, assets, ensure_asset, verify_asset
from semprune.causal_command import causal
from semprune.controls_command import controls
from semprune.errors import SempruneError
from semprune.explain import explain
from semprune.influential_command import influential
from semprune.lightning_cli import run_lightning
from semprune.prune_command import prune
from semprune.report import load_run, terminal_table, write_report, write_tables
from semprune.study import StudyConfig, run_study

HELP = """usage: semprune COMMAND [options]

What pruning destroys in a language model, and in which neurons.

  fit     --config configs/fit.yaml                  learn the neuron x concept association
  test    --config configs/test.yaml --ckpt_path …   score dense and pruned model, semantic loss
  prune   --config configs/prune/wanda.yaml          a pruned model as a Hugging Face folder, its masks
  study   --config configs/study/quickstart.yaml     the whole job: fit, prune, evaluate, report
  report  RUN_DIR                                    HTML page and tables of a study
  explain --run RUN_DIR --neuron | --concept | --text …   what a neuron stands for, where a concept shows
  causal  --config configs/causal.yaml               does ablating the association's neurons hurt, and what
  controls --config configs/controls.yaml            what would be found if there were nothing to find
  influential --config configs/concepts/influential.yaml   concepts from the words of a labelled data set
  assets  list | get NAME … | verify NAME …          offline models and data

semprune COMMAND --help says more."""


def _study(arguments: list[str]) -> None:
    parser = Parser(prog="semprune study", description="Fit, prune, evaluate, report.")
    parser.add_argument("--config", action="config", help="a study's YAML; see configs/study/")
    parser.add_class_arguments(StudyConfig)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # a dozen trainers would each say the same
    settings = vars(parser.instantiate(parser.parse_args(arguments)))
    _show(run_study(StudyConfig(**{name: value for name, value in settings.items() if name != "config"})))


def _report(arguments: list[str]) -> None:
    parser = Parser(prog="semprune report", description="HTML page and tables of a study.")
    parser.add_argument("run_dir", type=Path, help="run folder of a study")
    _show(parser.parse_args(arguments).run_dir)


def _show(run: Path) -> None:
    page = write_report(run)
    write_tables(run)
    console = Console()
    console.print(terminal_table(load_run(run)))
    console.print(f"report: {page.resolve()}", soft_wrap=True)


def _assets(arguments: list[str]) -> None:
    parser = Parser(prog="semprune assets", description="Offline models and data.")
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
    "fit": lambda arguments: run_lightning(["fit", *arguments]),
    "test": lambda arguments: run_lightning(["test", *arguments]),
    "prune": prune,
    "study": _study,
    "report": _report,
    "explain": explain,
    "causal": causal,
    "controls": controls,
    "influential": influential,
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
    # Lightning advises more workers than there are cores to gain from, its own tree utilities warn, a test does not go
    # on in the fit's checkpoint folder, arguments given from Python are meant, and checkpoints inside an epoch hold the
    # state after the step, with the number of batches that it has seen
    for message in (".*many workers.*", ".*LeafSpec.*", "The dirpath has changed", "LightningCLI's args parameter",
                    "Using ModelCheckpoint with manual optimization"):  # fmt: skip
        warnings.filterwarnings("ignore", message=message)
    try:
        COMMANDS[given[0]](given[1:])
    except SempruneError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
        return 2
    return 0
