"""The command ``semprune prune``: its arguments and what it prints."""

from __future__ import annotations

from rich.progress import Progress, TextColumn

from semprune.cli.parsing.arguments import Parser, command_parser, configured
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable
from semprune.pruning.streamed.command import PruneResult, run_prune
from semprune.pruning.streamed.config import PruneConfig


def prune_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "prune",
        "A pruned model as a Hugging Face folder, or its masks alone.",
        "[--config NAME|FILE] --output FOLDER [options]",
        [
            "semprune prune --config wanda --output runs/wanda",
            "semprune prune --method ria --pattern 2:4 --output runs/ria-2of4",
            "semprune prune --method wanda --sparsity 0.6 --masks-only --output runs/masks",
            "semprune prune --masks runs/masks --output runs/applied",
            "semprune prune --sparsity 0.5 --protect sentiment --output runs/kept",
        ],
    )
    parser.add_argument("--config", action="config", help="a pruning's YAML, or wanda, ria, sparsegpt, magnitude")
    parser.add_class_arguments(PruneConfig)
    return parser


def prune(arguments: list[str]) -> None:
    """Prune a model into a folder, and print what was measured.

    Raises:
        SempruneError: Of the kind of what is wrong with the arguments, the model, the output or the machine.
    """
    parser = prune_parser()
    config = configured(parser, parser.parse_args(spelled_out(arguments)), PruneConfig)
    progress = Terminal(stderr=True)
    count = TextColumn("block {task.completed:.0f} of {task.total:.0f}")
    with Progress(count, console=progress, transient=True, disable=not progress.is_terminal) as bar:
        task = bar.add_task("prune", total=None, visible=False)
        result = run_prune(
            config,
            say=lambda text: progress.print(text, soft_wrap=True, highlight=False),
            on_block=lambda done, count: bar.update(task, completed=done, total=count, visible=True),
        )
    console = Terminal()
    console.print(_table(result))
    console.print(_closing(result), soft_wrap=True, highlight=False)


def spelled_out(arguments: list[str]) -> list[str]:
    """Return options as the configuration spells them: underscores, ``true`` after a switch without a value.

    What is to be kept stands behind ``--protect``, several names with commas.

    Example:
        >>> spelled_out(["--masks-only", "--memory-limit=3", "--output", "a-b"])
        ['--masks_only=true', '--memory_limit=3', '--output', 'a-b']
        >>> spelled_out(["--protect", "sentiment,bbc_news", "--protect.strength", "2"])
        ['--protect.what', '[sentiment,bbc_news]', '--protect.strength', '2']
    """
    spelled = []
    for argument, following in zip(_protections_named(arguments), [*arguments[1:], "--"], strict=True):
        name, equals, value = argument.partition("=")
        option = name.replace("-", "_").replace("__", "--", 1) if name.startswith("--") else name
        switched = option == "--masks_only" and not equals and following.startswith("--")
        spelled.append(f"{option}=true" if switched else f"{option}{equals}{value}")
    return spelled


def _protections_named(arguments: list[str]) -> list[str]:
    """Write ``--protect NAMES`` as the list that the configuration takes; a mapping stays."""
    named: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name, equals, value = argument.partition("=")
        if before == "--protect" and _is_name(argument):
            named[-1:] = ["--protect.what", f"[{argument}]"]
        elif name == "--protect" and equals and _is_name(value):
            named.append(f"--protect.what=[{value}]")
        else:
            named.append(argument)
    return named


def _is_name(value: str) -> bool:
    """Whether a value is a name, in the place of a mapping, a list, or null, which takes a configuration's away."""
    return value != "null" and not value.startswith(("{", "["))


def _table(result: PruneResult) -> WholeTable:
    measured = result.provenance["sparsity"]
    table = WholeTable("matrix", "measured sparsity", title=f"pruned by {result.provenance['method']}")
    for role, share in measured["by_role"].items():
        table.add_row(role, f"{share:.4f}")
    table.add_section()
    table.add_row("all", f"{measured['total']:.4f}")
    return table


def _closing(result: PruneResult) -> str:
    about = result.provenance
    resumed = f" ({result.resumed} blocks were finished before)" if result.resumed else ""
    return (
        f"{about['wall_seconds']:.1f} s{resumed}, "
        f"peak memory {about['peak_memory_bytes'] / 1e9:.2f} GB "
        f"(at most {about['memory_estimate_bytes'] / 1e9:.2f} GB announced)\n"
        f"{'masks' if about['settings']['masks_only'] else 'pruned model'}: {result.folder.resolve()}"
    )
