"""``semprune study``: runs a study, or says what it would cost; ends in tables and a page."""

from __future__ import annotations

import logging

import pandas as pd

from semprune.cli.commands.report import show_run
from semprune.cli.parsing.arguments import Parser, command_parser, configured
from semprune.cli.parsing.shipped import shipped_configs
from semprune.errors import FailedCellsError
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable
from semprune.study import StudyConfig, failed_cells, plan_study, run_study


def study_parser() -> Parser:
    """The parser of ``study``."""
    parser = command_parser(
        "study",
        "Fit, prune, evaluate, report. A study that was stopped goes on where it was.",
        "--config NAME|FILE [options]",
        [
            "semprune study --config quickstart",
            "semprune study --config calibration --dry-run",
            "semprune study --config quickstart --output runs/more \\",
            "      --sparsities [0.3,0.5] --calibrations [c4,wiki] --limit 400",
            "semprune study --config quickstart --output runs/intents \\",
            "      --datasets intents.csv --text text --label intent",
        ],
    )
    names = ", ".join(shipped_configs("study"))
    parser.add_argument("--config", action="config", help=f"a study's YAML, or the name of a shipped one: {names}")
    parser.add_argument("--dry_run", action="store_true", help="only say which cells there are and what they will cost")
    parser.add_class_arguments(StudyConfig)
    return parser


def study(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        FailedCellsError: Some cells failed; the others are in the tables.
        SempruneError: Of the kind of what is wrong.
    """
    parser = study_parser()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # a dozen trainers would each say the same
    parsed = parser.parse_args(arguments)
    config = configured(parser, parsed, StudyConfig)
    if parsed.dry_run:
        plan_study(config, Terminal())
        return
    run = run_study(config)
    show_run(run)
    failures = failed_cells(run)
    if len(failures):
        Terminal().print(_failure_table(failures))
        raise FailedCellsError(len(failures), run)


def _failure_table(failures: pd.DataFrame) -> WholeTable:
    table = WholeTable("cell", "error", title="failed cells")
    for row in failures.to_dict("records"):
        error = row.pop("error")
        table.add_row(
            " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in row.values()), error
        )
    return table
