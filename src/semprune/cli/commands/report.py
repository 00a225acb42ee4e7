"""``semprune report``: page and tables of a run folder, and its main table in the terminal."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from semprune.cli.parsing.arguments import Parser, command_parser
from semprune.io.terminal import Terminal
from semprune.report import load_run, terminal_table, write_report, write_tables
from semprune.report.summary.skill import plain_sentences
from semprune.report.tables.skill import WITHOUT


def report_parser() -> Parser:
    """The parser of ``report``."""
    examples = ["semprune report runs/quickstart", "semprune report runs/quickstart --points",
                "semprune report runs/quickstart --card runs/wanda"]  # fmt: skip
    parser = command_parser("report", "HTML page, CSV and Markdown tables of a study.", "RUN_DIR", examples)
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="run folder of a study")
    parser.add_argument("--points", action="store_true", help="show drops in points instead of the share of skill kept")
    parser.add_argument(
        "--card", metavar="FOLDER", type=Path, help="write what was kept into a pruned folder's model card"
    )
    return parser


def report(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        CorruptArtefactError: The folder has no results, or an artefact cannot be read.
        CardMismatchError: Nothing in the run was pruned as the folder of `--card` was.
    """
    parsed = report_parser().parse_args(arguments)
    show_run(parsed.run_dir, points=parsed.points)
    if parsed.card is not None:
        write_cost = import_module("semprune.report.card").write_cost  # loads the hub's library, which takes a moment
        Terminal().print(f"card: {write_cost(parsed.run_dir, parsed.card).resolve()}", soft_wrap=True)


def show_run(run: Path, *, points: bool = False) -> None:
    """Write the report and the tables of a run folder, and show the main one."""
    artefacts = load_run(run)  # once: page and tables share the analysis
    page = write_report(artefacts)
    write_tables(artefacts)
    console = Terminal()
    sentences = [] if points else plain_sentences(artefacts)
    for sentence in sentences:
        console.print(sentence)
    console.print(terminal_table(artefacts, points=points))
    if artefacts.settings and artefacts.retained is None:
        console.print(WITHOUT)
    console.print(f"report: {page.resolve()}", soft_wrap=True)
