"""The command line: plain commands, and LightningCLI for ``fit`` and ``test``."""

from __future__ import annotations

import sys
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
from semprune.errors import SempruneError
from semprune.io.terminal import Terminal

HELP = """usage: semprune COMMAND [options]

What pruning destroys in a language model, and in which neurons.

the whole job
  study        fit, prune, evaluate, report: a grid in one YAML
  report       HTML page and tables of a study
  recommend    which method and calibration set, for what must survive
one step
  fit          learn the neuron x concept association
  test         score dense and pruned model on the same items; semantic loss
  prune        a pruned model as a Hugging Face folder, or its masks
  verify       does a model still have the zeros of its masks?
one question
  explain      what does a neuron stand for, where does a concept show?
  causal       does ablating the association's neurons hurt, and what?
  controls     what would be found if there were nothing to find?
  influential  which words speak for a class: concepts from labelled data
offline models and data
  assets       list, fetch, verify

examples:
  semprune study --config configs/study/quickstart.yaml
  semprune prune --config configs/prune/wanda.yaml --output runs/wanda
  semprune explain --run runs/quickstart --concept sentiment.negative

Each option is a key of the YAML. `semprune COMMAND --help` lists them all,
with types, defaults and examples; `--print_config` prints them as YAML."""


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


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors that a user can cause are one line and exit status 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(HELP + "\n")
        return 0
    console = Terminal(stderr=True)
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
        with fast_fp32():
            COMMANDS[given[0]](given[1:])
    except SempruneError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
        return 2
    return 0


if __name__ == "__main__":  # torchrun starts modules
    sys.exit(main())
