"""Units of tasks under gates: read within a token budget on every rank, and gone backward from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.gates.gating import gated
from semprune.attribution.gates.task import GateTask, Parts
from semprune.backbones import Backbone
from semprune.data.batches.sampling import within_budget
from semprune.io.distributed import gather_rows, rank, world_size
from semprune.types import NeuronSite


@dataclass(frozen=True)
class Shares:
    """Units of one step over the ranks of a process group.

    Attributes:
        own: Of this rank.
        everyone: Of all ranks, one after another.
        first: Place of the first own one among them.
    """

    own: tuple[int, ...]
    everyone: tuple[int, ...]
    first: int

    @classmethod
    def of(cls, units: Sequence[int]) -> Self:
        """Deal units to the ranks in turn.

        Example:
            >>> Shares.of([7, 5])
            Shares(own=(7, 5), everyone=(7, 5), first=0)
        """
        shares = [tuple(units[place :: world_size()]) for place in range(world_size())]
        everyone = tuple(unit for share in shares for unit in share)
        return cls(shares[rank()], everyone, sum(map(len, shares[: rank()])))


@dataclass(frozen=True)
class GatedUnits:
    """Reads units with a concept's gates closed.

    Attributes:
        lm: The frozen backbone.
        sites: Whose neurons, in the order of the gates.
        mean: What closed gates hold neurons at.
        token_budget: Padded tokens of a forward.
    """

    lm: Backbone
    sites: tuple[NeuronSite, ...]
    mean: Float[Tensor, " neurons"]
    token_budget: int

    def backward(
        self, concept: int, task: GateTask, drawn: Shares, leaf: Tensor, value: Callable[[Parts], Tensor], weight: float
    ) -> tuple[Tensor, Parts]:
        """Read units under a concept's gates and go backward from a value of what the model says of all ranks' units.

        Of items beyond the token budget the largest batch keeps its activations and the others are read twice, so that
        only a budget's activations are in memory.

        Returns:
            The value, and what the model said.
        """
        own = drawn.own
        batches = largest_last(*task.sizes(own), self.token_budget)
        units = [[own[place] for place in places] for places in batches]
        parts = self._empty(task, own)
        for places, again in zip(batches[:-1], units[:-1], strict=True):
            parts[places] = self._read(concept, task, leaf.detach(), again)
        read_twice = parts.requires_grad_()
        if batches:  # none where a rank has no share of a small draw
            last = torch.tensor(batches[-1], device=self.lm.device)
            parts = parts.index_copy(0, last, self._read(concept, task, leaf, units[-1]))
        everyones = gather_rows(parts.detach())
        whole = torch.cat([everyones[: drawn.first], parts, everyones[drawn.first + len(own) :]])
        found = value(whole)
        if found.requires_grad:
            (found * weight).backward()
            for places, again in zip(batches[:-1], units[:-1], strict=True):  # now that each unit's weight is known
                assert read_twice.grad is not None
                (self._read(concept, task, leaf, again) * read_twice.grad[places]).sum().backward()
        return found.detach().double(), whole.detach()

    def _read(self, concept: int, task: GateTask, leaf: Tensor, units: Sequence[int]) -> Parts:
        """What the model says of some units under a concept's gates."""
        owner = torch.full((sum(task.sizes(units)[0]),), concept, device=self.lm.device)
        with gated(self.lm, self.sites, leaf, self.mean, owner):
            return task.read(self.lm, units).to(self.lm.device)

    @torch.no_grad()
    def dense(self, task: GateTask, units: Sequence[int]) -> Parts:
        """What the dense model says of some units."""
        parts = self._empty(task, units)
        for places in within_budget(*task.sizes(units), self.token_budget)(0):
            parts[places] = task.read(self.lm, [units[place] for place in places]).to(parts)
        return parts

    def _empty(self, task: GateTask, units: Sequence[int]) -> Parts:
        wide = torch.float64 if self.lm.dtype == torch.float64 else torch.float32
        return torch.zeros(len(units), task.columns, dtype=wide, device=self.lm.device)


def largest_last(rows: Sequence[int], lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Batches of units within a budget of padded tokens, that of the most tokens last.

    Example:
        >>> largest_last([2, 2, 2], [10, 9, 3], 40)
        [[2], [0, 1]]
    """
    batches = within_budget(rows, lengths, token_budget)(0)
    return sorted(batches, key=lambda own: sum(rows[each] for each in own) * max(lengths[each] for each in own))
