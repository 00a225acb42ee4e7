"""A misspelt option is refused before torch is loaded, and no option that there is ever is."""

import subprocess
import sys

import pytest
from tests.docs.command_lines import commands_of

from semprune.cli.__main__ import HELP
from semprune.cli.dispatch import PARSERS
from semprune.cli.parsing.misspelt import lightning_options, refuse_misspelt
from semprune.errors import ConfigurationError


def options(parser) -> list[str]:
    """Every option of a parser and of its subcommands."""
    found = [option for action in parser._actions for option in action.option_strings]
    for action in parser._actions:
        for below in (getattr(action, "_name_parser_map", None) or {}).values():
            found += options(below)
    return [option for option in found if option.startswith("--")]


@pytest.mark.parametrize("name", PARSERS)
def test_no_option_of_a_command_is_refused(name):
    known = options(PARSERS[name]())
    assert "--help" in known
    for option in known:
        refuse_misspelt(name, [option, "x"])
        refuse_misspelt(name, [f"{option.replace('_', '-')[:1]}{option[1:]}=x"])


@pytest.mark.parametrize(
    ("command", "option", "near"),
    [
        ("study", "--limt", "'limt' is unknown; did you mean 'limit'? "),
        ("study", "--fit.limt=3", "'fit.limt' is unknown; did you mean 'fit.limit'? "),
        ("study", "--calibration-sequence-s", "did you mean 'calibration_sequences'? "),
        ("prune", "--sparsty", "did you mean 'sparsity'? "),
        ("prune", "--backbone.revison", "did you mean 'backbone.revision'? "),
        ("explain", "--nueron", "did you mean 'neuron'? "),
        ("fit", "--model.concpets", "did you mean 'model.concepts'? "),
        ("fit", "--trainer.max_epocs", "did you mean 'trainer.max_epochs'? "),
        ("test", "--chkpt_path", "did you mean 'ckpt_path'? "),
        ("test", "--backbone.nme", "did you mean 'backbone.name'? "),
        ("fit", "--zzz", "Unrecognized option --zzz"),
    ],
)
def test_the_nearest_option_is_named(command, option, near):
    with pytest.raises(ConfigurationError) as refused:
        refuse_misspelt(command, [option, "3"])
    assert near in str(refused.value)
    assert str(refused.value).endswith(f"`semprune {command} --help` lists all options.")


@pytest.mark.parametrize(
    "line",
    [
        "fit --data.limit 3 --data.help DocumentDataModule --trainer.callbacks+=RIA --data=x.yaml",
        "fit --trainer.callbacks.sparsity 0.5 --trainer.logger.help --backbone x --seed_everything=1",
        "test --losses+=causal --config a --print_config=skip_null --ckpt-path x --verbose=false",
        "prune --options.p 0.5 --masks-only",
        "study --datasets my.csv --text body --label=intent --text.length 64",
        "test --datasets my.csv --text body --label intent",
        "study --causal null --causal.limit 3 --chat.options.level 3 --lim 3 -- -1",
    ],
)
def test_what_only_the_parser_knows_is_left_to_it(line):
    command, *arguments = line.split()
    refuse_misspelt(command, arguments)


def test_the_examples_of_the_help_pass():
    lines = commands_of(HELP.partition("examples:")[2].partition("Each option")[0])
    assert len(lines) >= 3
    for command, *arguments in lines:
        refuse_misspelt(command, arguments)


@pytest.mark.parametrize("name", ["study", "fit", "prune", "explain"])
def test_nothing_heavy_is_loaded_to_say_so(name):
    program = (
        f"import sys\nfrom semprune.cli.__main__ import main\nmain([{name!r}, '--msspelt', '1'])\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning", "pandas", "transformers"} & set(done.stdout.split())
    assert done.stderr.startswith("ConfigurationError: Unrecognized option --msspelt.")


def test_options_of_lightning_are_those_that_are_installed():
    from lightning.pytorch import Trainer

    for command in ("fit", "test"):
        known = lightning_options(command)
        assert {f"trainer.{name}" for name in Trainer.__init__.__annotations__} - {"trainer.return"} <= set(known)


def test_the_short_options_of_own_tables_are_options():
    given = ["--datasets", "my.csv", "--text", "body", "--label", "intent"]
    refuse_misspelt("study", given)
    refuse_misspelt("test", given)
