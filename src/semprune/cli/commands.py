"""Every command by its name; importing this loads torch and Lightning."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from semprune.backbones.hardware import fast_fp32
from semprune.cli.arguments import Parser
from semprune.cli.assets import assets, assets_parser
from semprune.cli.causal import causal, causal_parser
from semprune.cli.controls import controls, controls_parser
from semprune.cli.explain import explain, explain_parser
from semprune.cli.influential import influential, influential_parser
from semprune.cli.lightning import run_lightning
from semprune.cli.prune import prune, prune_parser
from semprune.cli.recommend import recommend_from, recommend_parser
from semprune.cli.report import report, report_parser
from semprune.cli.study import study, study_parser
from semprune.cli.verify import verify, verify_parser
from semprune.errors import UnknownCommandError

PARSERS: dict[str, Callable[[], Parser]] = {
    "prune": prune_parser,
    "verify": verify_parser,
    "study": study_parser,
    "report": report_parser,
    "recommend": recommend_parser,
    "explain": explain_parser,
    "causal": causal_parser,
    "controls": controls_parser,
    "influential": influential_parser,
    "assets": assets_parser,
}
"""Parsers of the plain commands; LightningCLI makes those of ``fit`` and ``test``."""

COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "fit": lambda arguments: run_lightning(["fit", *arguments]),
    "test": lambda arguments: run_lightning(["test", *arguments]),
    "prune": prune,
    "verify": verify,
    "study": study,
    "report": report,
    "recommend": recommend_from,
    "explain": explain,
    "causal": causal,
    "controls": controls,
    "influential": influential,
    "assets": assets,
}


def run_command(name: str, arguments: list[str]) -> None:
    """Run a command.

    Args:
        name: What to do.
        arguments: What stands after the name on the command line.

    Raises:
        UnknownCommandError: There is no such command.
        SempruneError: Of the kind of what is wrong with the arguments, the files or the machine.
    """
    if name not in COMMANDS:
        raise UnknownCommandError(name, COMMANDS)
    # Lightning advises more workers than there are cores to gain from, its own tree utilities warn, a test does not go
    # on in the fit's checkpoint folder, arguments given from Python are meant, and checkpoints inside an epoch hold the
    # state after the step, with the number of batches that it has seen
    for message in (".*many workers.*", ".*LeafSpec.*", "The dirpath has changed", "LightningCLI's args parameter",
                    "Using ModelCheckpoint with manual optimization"):  # fmt: skip
        warnings.filterwarnings("ignore", message=message)
    with fast_fp32():
        COMMANDS[name](arguments)
