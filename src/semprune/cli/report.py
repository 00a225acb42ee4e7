"""``semprune report``: page and tables of a run folder, and its main table in the terminal."""

from __future__ import annotations

from pathlib import Path

from semprune.cli.arguments import Parser, command_parser
from semprune.io.terminal import plain_console
from semprune.report import load_run, terminal_table, write_report, write_tables


def report_parser() -> Parser:
    """The parser of ``report``."""
    examples = ["semprune report runs/quickstart"]
    parser = command_parser("report", "HTML page, CSV and Markdown tables of a study.", "RUN_DIR", examples)
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="run folder of a study")
    return parser


def report(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        CorruptArtefactError: The folder has no results, or an artefact cannot be read.
    """
    show_run(report_parser().parse_args(arguments).run_dir)


def show_run(run: Path) -> None:
    """Write the report and the tables of a run folder, and show the main one."""
    artefacts = load_run(run)  # once: page and tables share the analysis
    page = write_report(artefacts)
    write_tables(artefacts)
    console = plain_console()
    console.print(terminal_table(artefacts))
    console.print(f"report: {page.resolve()}", soft_wrap=True)
