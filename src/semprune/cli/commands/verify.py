"""``semprune verify``: whether a model still has the zeros of its masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semprune.cli.parsing.arguments import Parser, command_parser
from semprune.errors import FilledZerosError
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable
from semprune.pruning.masks.verify import VerifiedMatrix, verify_masks


def verify_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "verify",
        "Counts what should be zero and is not: after fine-tuning, a merge or quantisation.",
        "FOLDER --masks FILE",
        ["semprune verify runs/tuned --masks runs/wanda/masks.safetensors"],
    )
    parser.add_argument("folder", metavar="FOLDER", help="model folder, also a quantised one")
    parser.add_argument("--masks", metavar="FILE", type=Path, required=True, help="masks.safetensors of the pruning")
    return parser


def verify(arguments: list[str]) -> None:
    """Run the command: a table of the matrices that lost zeros and of all together, and an error where there are some.

    Raises:
        FilledZerosError: A weight that should be zero is not.
        SempruneError: Of the kind of what is wrong with the masks or the model.
    """
    parsed = verify_parser().parse_args(arguments)
    matrices = list(verify_masks(parsed.folder, parsed.masks))
    Terminal().print(_table(matrices))
    filled = {matrix.name: matrix.filled for matrix in matrices if matrix.filled}
    if filled:
        raise FilledZerosError(parsed.folder, str(parsed.masks), filled)


def _table(matrices: Sequence[VerifiedMatrix]) -> WholeTable:
    """One line per matrix that lost zeros, and the sum; names stay whole, so that they can be searched for."""
    lost = [matrix for matrix in matrices if matrix.filled]
    title = f"{len(lost)} of {len(matrices)} matrices have weights that the masks do not keep"
    table = WholeTable(title=title, show_footer=True)
    columns = ("weights", "size"), ("should be zero", "pruned"), ("not zero", "filled")
    table.add_column("matrix", "all", no_wrap=True)
    for title, field in columns:
        table.add_column(title, f"{sum(getattr(matrix, field) for matrix in matrices):,}", justify="right")
    for matrix in lost:
        table.add_row(matrix.name, *(f"{getattr(matrix, field):,}" for _, field in columns))
    return table
