"""The command line's entry, which loads nothing heavy: ``--help`` is quick, and Ctrl-C is one line from the start."""

from __future__ import annotations

import sys
from importlib import import_module

from semprune.cli.boundary import guarded

HELP = """usage: semprune COMMAND [options]

What pruning destroys in a language model, and in which neurons.

the whole job
  study        fit, prune, evaluate, report: a grid in one YAML
  report       HTML page and tables of a study
  compare      two runs beside each other, paired by item
  recommend    which method and calibration set, for what must survive
one step
  fit          learn the neuron x concept association
  test         score dense and pruned model on the same items; semantic loss
  prune        a pruned model as a Hugging Face folder, or its masks
  verify       does a model still have the zeros of its masks?
one question
  neurons      which neurons answer to these words, this concept or class?
  explain      what does a neuron stand for, where does a concept show?
  causal       does ablating the association's neurons hurt, and what?
  mediate      whose lost activations explain what pruning cost?
  controls     what would be found if there were nothing to find?
  influential  which words speak for a class: concepts from labelled data
shared on the hub
  push         a pruned model, masks or an association
  pull         the same from the hub: safetensors only
offline models and data
  assets       list, fetch, verify

examples:
  semprune study --config quickstart
  semprune prune --config wanda --output runs/wanda
  semprune explain --run runs/quickstart --concept sentiment.negative

Each option is a key of the YAML. `semprune COMMAND --help` lists them all,
with types, defaults and examples; `--print_config` prints them as YAML."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The command and its arguments; None takes the process's.

    Returns:
        The exit status: 0; 2 for what a user, a file or the machine can cause; 130 where Ctrl-C stopped it; 1 for a
        fault of semprune's. All but 0 say one line.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        return guarded("--help", lambda: sys.stdout.write(HELP + "\n"))
    return guarded(given[0], lambda: import_module("semprune.cli.dispatch").run_command(given[0], given[1:]))


if __name__ == "__main__":  # torchrun starts modules
    sys.exit(main())
