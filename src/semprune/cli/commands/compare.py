"""``semprune compare``: two runs beside each other, in the terminal and as a page."""

from __future__ import annotations

from pathlib import Path

from semprune.cli.parsing.arguments import Parser, command_parser
from semprune.errors import SettingError
from semprune.io.terminal import Terminal
from semprune.report.comparison.page import Comparison, write_comparison
from semprune.report.comparison.tables import comparison_table, sentences


def compare_parser() -> Parser:
    """The parser of the command."""
    examples = [
        "semprune compare runs/quickstart runs/protected",
        "semprune compare runs/quickstart runs/quickstart \\",
        '      --model_a "Magnitude 50 %" --model_b "Wanda 50 %"',
    ]
    about = "What a second run keeps more or less than a first one, paired where the items are the same."
    parser = command_parser("compare", about, "RUN_A RUN_B [options]", examples)
    parser.add_argument("run_a", metavar="RUN_A", type=Path, help="run folder that is compared with")
    parser.add_argument("run_b", metavar="RUN_B", type=Path, help="run folder that is compared")
    parser.add_argument("--model_a", default=None, help="one pruned model of A by its label; null pairs all alike")
    parser.add_argument("--model_b", default=None, help="one of B")
    parser.add_argument(
        "--output", type=Path | None, default=None, help="the page, NAME.html; null for comparison.html in RUN_B"
    )
    return parser


def compare(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        CorruptArtefactError: A folder has no results, or an artefact cannot be read.
        SettingError: A run has no model of the label; the page is to be written as something else than a page.
        NothingInCommonError: No models of the two runs go together.
    """
    parsed = compare_parser().parse_args(arguments)
    path = parsed.output or parsed.run_b / "comparison.html"
    if path.suffix != ".html" or path.is_dir():
        raise SettingError("output", str(path), "a page, NAME.html")
    found = Comparison.read(parsed.run_a, parsed.run_b, parsed.model_a, parsed.model_b)
    console = Terminal()
    console.print(f"A: {parsed.run_a}\nB: {parsed.run_b}", soft_wrap=True)
    for name, first, second in found.differing:
        console.print(f"{name}: {first} → {second}", soft_wrap=True)
    for sentence in sentences(found.rows):
        console.print(sentence)
    console.print(comparison_table(found.rows))
    instead = ", in the place of a page that was there" if path.exists() else ""
    page = write_comparison(found, path)
    console.print(f"comparison: {page.resolve()}{instead}", soft_wrap=True)
