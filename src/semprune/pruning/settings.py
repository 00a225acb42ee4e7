"""How to prune: plain values and their check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from torch import Tensor

from semprune.errors import MasksOnlyError, SettingError
from semprune.pruning.guidance.protection import GENERAL, Protection
from semprune.pruning.method import Method, Needs
from semprune.pruning.methods import find_method
from semprune.pruning.selection.allocation import ALLOCATIONS, OWL
from semprune.pruning.selection.keep import Keep, check_selection, check_sparsity, keeper
from semprune.pruning.selection.pattern import Pattern
from semprune.ranges import check_value
from semprune.types import Count, Sparsity

OWL_OPTIONS = tuple(f"owl_{each.name}" for each in fields(OWL))


@dataclass(frozen=True)
class PruneSettings:
    """How to prune; plain values, checked by :func:`check_settings`. Other signatures take their defaults from here.

    Attributes:
        sparsity: Share of each matrix's weights to set to zero, in [0, 1); None where there is a pattern.
        selection: ``exact`` (exactly the asked number per group, ties by position) or ``reference`` (what the
            published code selects, bit for bit; it sees one sequence per forward, and since its running mean depends
            on the order, every rank of a distributed run sees all sequences).
        statistics: ``sequential``: a block's statistics come from its dense weights and the outputs of the pruned
            blocks before it (as published). ``dense``: from the dense model, in one pass.
        batch_size: Sequences per forward; with several ranks also the unit that is shared out.
        pattern: ``N:M``, which keeps N weights of each M consecutive inputs of an output (2:4 keeps two of four);
            None for no pattern.
        options: Options of the method and of the allocation, by name, where they are not the defaults.
        allocation: ``uniform``: every block the same sparsity. ``owl``: less where outliers are many, the same
            sparsity over all weights; costs one pass over the dense model. Its options are ``owl_multiple`` and
            ``owl_spread``, see :class:`semprune.pruning.selection.allocation.OWL`.
        unrouted: What becomes of a mixture's experts that no calibration token was routed to. ``refuse``: they are an
            error, since nothing is known of their inputs. ``keep``: they stay whole, and what is asked of the sparsity
            is not reached there.
        protect: What is to be kept: tokens of its text count in the statistics by how much it hangs on them.
    """

    sparsity: Sparsity | None = None
    selection: str = "exact"
    statistics: str = "sequential"
    batch_size: Count = 8
    pattern: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    allocation: str = "uniform"
    unrouted: str = "refuse"
    protect: tuple[Protection, ...] = ()

    @property
    def forward_size(self) -> int:
        """Sequences per forward that are really run together."""
        return 1 if self.selection == "reference" else self.batch_size

    @property
    def keep(self) -> Keep:
        """What a method asks which weights to keep."""
        return keeper(self.selection, self.sparsity or 0.0, self.pattern)

    @property
    def owl(self) -> OWL | None:
        """The allocation's settings where it is OWL."""
        given = {name.removeprefix("owl_"): value for name, value in self.options.items() if name in OWL_OPTIONS}
        return OWL(**given) if self.allocation == "owl" else None

    @property
    def keeps_unrouted(self) -> bool:
        """Whether experts without a calibration token stay whole."""
        return self.unrouted == "keep"

    @property
    def method_options(self) -> dict[str, Any]:
        """The options that are the method's, and unknown ones."""
        of_owl = OWL_OPTIONS if self.allocation == "owl" else ()
        return {name: value for name, value in self.options.items() if name not in of_owl}

    @property
    def shares(self) -> bool:
        """Whether matrices and rows share the sparsity by what hangs on them: something is kept, without a pattern."""
        return bool(self.protect) and self.pattern is None

    def needs(self, method: Method) -> Needs:
        """Return which statistics a method reads with these settings; OWL reads squares for every method."""
        return "squares" if self.allocation == "owl" and method.needs == "nothing" else method.needs

    def relevant(self, method: Method) -> dict[str, Any]:
        """Return the values that a method reads, as they are recorded with its masks."""
        names = ["sparsity" if self.pattern is None else "pattern", "selection"]
        names += ["statistics", "batch_size"] if self.needs(method) != "nothing" else []
        values = asdict(self)
        found = {name: values[name] for name in names} | method.options()
        if self.owl is not None:
            found |= {"allocation": "owl"} | {f"owl_{name}": value for name, value in asdict(self.owl).items()}
        if self.keeps_unrouted and self.needs(method) != "nothing":
            found["unrouted"] = self.unrouted
        if self.protect:
            found["protect"] = [each.record() for each in self.protect]
        return found

    def check_widths(self, widths: Iterable[tuple[str, int]]) -> None:
        """Refuse matrices that a pattern does not fit.

        Args:
            widths: Name and number of inputs of each matrix.

        Raises:
            SettingError: M does not divide a number of inputs; names the matrix.
        """
        if self.pattern is not None:
            Pattern.parse(self.pattern).check_widths(widths)


def check_settings(method: str, settings: PruneSettings) -> Method:
    """Return the method with its options, once its name and the settings are known to be good.

    Raises:
        UnknownMethodError: There is no such method.
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """
    found = find_method(method)
    if settings.allocation not in ALLOCATIONS:
        raise SettingError("allocation", settings.allocation, "'uniform' or 'owl'")
    found = found.with_options(settings.method_options)
    _check_amount(settings)
    check_selection(settings.selection)
    check_pass(settings)
    found.check(settings.keep)
    _check_protect(found, settings)
    return found


def check_pass(settings: PruneSettings) -> None:
    """Refuse a pass over the calibration that cannot be run.

    Raises:
        SettingError: The statistics, the batch size or ``unrouted`` have a value they cannot have.
    """
    if settings.statistics not in ("sequential", "dense"):
        raise SettingError("statistics", settings.statistics, "'sequential' or 'dense'")
    check_value("batch_size", settings.batch_size, Count)
    if settings.unrouted not in ("refuse", "keep"):
        raise SettingError("unrouted", settings.unrouted, "'refuse' or 'keep'")


def _check_amount(settings: PruneSettings) -> None:
    if (settings.sparsity is None) == (settings.pattern is None):
        got = "neither" if settings.sparsity is None else f"sparsity {settings.sparsity} and {settings.pattern}"
        raise SettingError("sparsity or pattern", got, "given, exactly one of the two")
    if settings.pattern is not None:
        Pattern.parse(settings.pattern)
        if settings.owl is not None:
            raise SettingError("allocation", "owl", "'uniform' with a pattern, which leaves no block a choice")
    elif settings.sparsity is not None:
        check_sparsity(settings.sparsity)


def _check_protect(method: Method, settings: PruneSettings) -> None:
    names = ", ".join(name for each in settings.protect for name in each.names)
    if settings.protect and not method.needs_statistics:
        raise SettingError("protect", names, f"left out with {method.name}, which looks at no data")
    if settings.protect and settings.selection == "reference":
        raise SettingError("protect", names, "left out with selection 'reference': the published code has none")
    if GENERAL in names.split(", ") and not settings.shares:
        allowed = "something by name: general lets rows share a sparsity, and runs of a pattern share nothing"
        raise SettingError("protect", names, allowed)


def check_token_weights(settings: PruneSettings, token_weights: Tensor | None) -> None:
    """Refuse token weights where the published code has none.

    Raises:
        SettingError: There are token weights and the selection is ``reference``.
    """
    if token_weights is not None and settings.selection == "reference":
        raise SettingError("token_weights", "weights", "None with selection 'reference': the published code has none")


def refuse_changed_weights(method: str) -> None:
    """Refuse masks of a method that also changed the weights it kept.

    Raises:
        MasksOnlyError: It did.
        UnknownMethodError: There is no such method.
    """
    if find_method(method).changes_weights:
        raise MasksOnlyError(method)
