"""``semprune pull``: a pruned model, masks or an association from the hub."""

from __future__ import annotations

from pathlib import Path

from semprune.cli.parsing.arguments import Parser, command_parser
from semprune.io.terminal import Terminal
from semprune.sharing import pull as pull_repo


def pull_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "pull",
        "Fetch a pruned model, masks or an association from the Hugging Face hub: safetensors only.",
        "REPO FOLDER [options]",
        ["semprune pull ada/SmolLM2-135M-wanda-50 runs/pulled"],
    )
    parser.add_argument("repo", metavar="REPO", help="organisation/name")
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, help="new or empty folder; an interrupted pull goes on there"
    )
    parser.add_argument("--revision", help="commit, tag or branch; the newest where none is given")
    return parser


def pull(arguments: list[str]) -> None:
    """Run the command, and print where the files are.

    Raises:
        SempruneError: Of the kind of what is wrong with the folder, or kept the hub from giving it.
    """
    parsed = pull_parser().parse_args(arguments)
    folder = pull_repo(parsed.repo, parsed.folder, revision=parsed.revision)
    Terminal().print(f"pulled: {folder.resolve()}", soft_wrap=True, highlight=False)
