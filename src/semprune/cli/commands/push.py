"""``semprune push``: a pruned model, masks or an association to the hub."""

from __future__ import annotations

from pathlib import Path

from semprune.cli.parsing.arguments import Parser, command_parser
from semprune.io.terminal import Terminal
from semprune.sharing import push as push_path


def push_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "push",
        "Bring a pruned model, masks or an association to the Hugging Face hub.",
        "PATH REPO [options]",
        [
            "semprune push runs/wanda ada/SmolLM2-135M-wanda-50 --private",
            "semprune push runs/quickstart/association.safetensors ada/SmolLM2-neurons",
        ],
    )
    parser.add_argument(
        "path", metavar="PATH", type=Path, help="folder of a pruning, or a file of masks or associations"
    )
    parser.add_argument("repo", metavar="REPO", help="organisation/name; made where it does not exist")
    parser.add_argument("--private", action="store_true", help="a repository that is made is seen by you alone")
    parser.add_argument(
        "--revision", metavar="BRANCH", help="branch to commit to, which exists; main where none is given"
    )
    return parser


def push(arguments: list[str]) -> None:
    """Run the command, and print where the commit is.

    Raises:
        SempruneError: Of the kind of what is wrong with the path, or kept the hub from taking it.
    """
    parsed = push_parser().parse_args(arguments)
    address = push_path(parsed.path, parsed.repo, private=parsed.private or None, revision=parsed.revision)
    Terminal().print(f"pushed: {address}", soft_wrap=True, highlight=False)
