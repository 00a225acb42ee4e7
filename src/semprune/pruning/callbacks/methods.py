"""One pruning callback per method, under the short names of configurations, and the one that holds masks.

What all that prune take:

- sparsity: share of the weights to set to zero, in [0, 1); 0.5 where no pattern is given either, what the literature
  compares at.
- pattern: N:M instead of a sparsity, which keeps N weights of each M consecutive inputs (2:4 keeps two of four).
  In YAML it needs quotes: without, 2:4 is a number there.
- selection: exact (the asked number of each group) or reference (what the published code selects).
- allocation: uniform (every block alike) or owl (less where outliers are many: scores above ``owl_multiple`` times
  their block's mean; kept shares of the blocks span twice ``owl_spread``).

and those that look at data:

- statistics: sequential (earlier blocks already pruned, as published) or dense (one pass over the dense model).
- batch_size: calibration sequences per forward; also the unit that is shared out over ranks.
- unrouted: refuse or keep (whole) the experts of a mixture that no calibration token is routed to.
- protect: what is to be kept: a name (sentiment), names, or what, strength, items and seed of
  :class:`semprune.Protection`.

The classes are made of the methods that are found when this module is imported, each under its method's label.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from semprune.pruning.callbacks.hold import HoldMasks
from semprune.pruning.callbacks.pruning import PruningCallback
from semprune.pruning.method import Method
from semprune.pruning.methods import methods
from semprune.pruning.selection.allocation import OWL

OF_DATA = ("statistics", "batch_size", "unrouted", "protect")
"""Settings that a method does not have that looks at no data."""
ABOUT = {
    "sparsity": "Share of each {group}'s weights to set to zero; see the module for this and what follows.",
    "selection": "exact or reference.",
    "statistics": "sequential or dense.",
    "batch_size": "Calibration sequences per forward.",
    "pattern": "N:M instead of a sparsity.",
    "allocation": "uniform or owl.",
    "unrouted": "refuse or keep.",
    "protect": "What is to be kept.",
    "owl_multiple": "From which multiple of the mean score OWL counts outliers.",
    "owl_spread": "Half the span of OWL's sparsities.",
}
DOCSTRING = """{about}
{changes}
Args:
{arguments}

Raises:
    SparsityRangeError: The sparsity is outside [0, 1).
    SettingError: Another setting has a value it cannot have.
"""
CHANGES = """
The weights that stay change too. A checkpoint holds its masks as a record; the weights are computed again, so a
loaded run needs its calibration.
"""


def callback_class(method: Method) -> type[PruningCallback]:
    """Return the callback of a method: :class:`PruningCallback` with the method's own settings, types and help.

    Example:
        >>> from semprune.pruning.methods import find_method
        >>> inspect.signature(callback_class(find_method("magnitude"))).parameters["selection"]
        <Parameter "selection: str = 'exact'">
    """
    described = list(_parameters(method))
    parameters = [parameter for parameter, _ in described]
    signature = Signature([Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *parameters], return_annotation=None)

    def __init__(self: PruningCallback, *given: Any, **named: Any) -> None:  # becomes the method
        bound = signature.bind(self, *given, **named)
        bound.apply_defaults()
        uniform = bound.arguments["allocation"] != "owl"
        left_out = {"self", *(name for name in bound.arguments if uniform and name.startswith("owl_"))}
        settings = {name: value for name, value in bound.arguments.items() if name not in left_out}
        PruningCallback.__init__(self, method.name, **settings)

    __init__.__doc__ = "Check the settings; nothing is pruned yet."
    __init__.__signature__ = signature  # type: ignore[attr-defined]  # what help and configurations read
    __init__.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": None}
    text = DOCSTRING.format(
        about=method.about,
        changes=CHANGES if method.changes_weights else "",
        arguments="\n".join(f"    {parameter.name}: {about}" for parameter, about in described),
    )
    return type(method.label, (PruningCallback,), {"__init__": __init__, "__doc__": text, "__module__": __name__})


def _parameters(method: Method) -> Iterator[tuple[Parameter, str]]:
    """Every setting of a method's callback, with what it is."""
    for name, given in inspect.signature(PruningCallback, eval_str=True).parameters.items():
        if name in ABOUT and (method.needs_statistics or name not in OF_DATA):
            yield _parameter(name, given.annotation, given.default), ABOUT[name].format(group=method.group)
    for field in dataclasses.fields(OWL):
        name = f"owl_{field.name}"
        yield _parameter(name, get_type_hints(OWL)[field.name], field.default), ABOUT[name]
    hints = get_type_hints(type(method))
    for name, field in method.option_fields().items():
        yield _parameter(name, hints[name], field.default), field.metadata["about"]


def _parameter(name: str, kind: Any, default: Any) -> Parameter:
    """A parameter; of literals the kind alone, so that a wrong one is refused in the method's own words."""
    annotation = type(get_args(kind)[0]) if get_origin(kind) is Literal else kind
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Let type checkers, which see no class that is made below, import them by their labels."""


CALLBACKS = {name: callback_class(method) for name, method in methods().items()}
globals().update({each.__name__: each for each in CALLBACKS.values()})
__all__ = ["CALLBACKS", "HoldMasks", "PruningCallback", *(each.__name__ for each in CALLBACKS.values())]
