"""Neurons of several sites as the rows of one matrix: which row is which neuron, once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from jaxtyping import Int
from torch import Tensor

from semprune.errors import UnknownNeuronError
from semprune.types import NeuronSite


@dataclass(frozen=True)
class NeuronIndex:
    """Rows of the neurons of sites that lie one after another.

    Attributes:
        sites: In the order of the rows.

    Example:
        >>> sites = [NeuronSite(f"layers.{n}.mlp", n, "mlp", 3, f"model.layers.{n}.mlp.down_proj") for n in range(2)]
        >>> index = NeuronIndex(tuple(sites))
        >>> index.where(sites[1]), index.row("layers.1.mlp/2"), index.names[5]
        (slice(3, 6, None), 5, 'layers.1.mlp/2')
    """

    sites: tuple[NeuronSite, ...]

    @cached_property
    def _where(self) -> dict[str, slice]:
        ends = list(accumulate(self.widths, initial=0))
        return {site.name: slice(*each) for site, *each in zip(self.sites, ends, ends[1:], strict=False)}

    def __len__(self) -> int:
        """Number of rows."""
        return sum(self.widths)

    def where(self, site: NeuronSite) -> slice:
        """Rows of a site's neurons."""
        return self._where[site.name]

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of neurons of each site."""
        return tuple(site.width for site in self.sites)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rows, ``layers.15.mlp/219``."""
        return tuple(f"{site.name}/{number}" for site in self.sites for number in range(site.width))

    @property
    def layers(self) -> Int[Tensor, " neurons"]:
        """Layer of each row."""
        return torch.cat([torch.full((site.width,), site.layer) for site in self.sites])

    def place(self, name: str) -> tuple[NeuronSite, int]:
        """Site of a neuron, and its number there.

        Raises:
            UnknownNeuronError: There is no such neuron; names the nearest.
        """
        own, _, number = name.rpartition("/")
        site = next((site for site in self.sites if site.name == own), None)
        if site is None:
            raise UnknownNeuronError(name, (f"{site.name}/0" for site in self.sites))
        if not number.isdecimal() or int(number) >= site.width:
            raise UnknownNeuronError(name, (f"{site.name}/{k}" for k in range(site.width)))
        return site, int(number)

    def row(self, name: str) -> int:
        """Row of a neuron.

        Raises:
            UnknownNeuronError: There is no such neuron; names the nearest.
        """
        site, number = self.place(name)
        first: int = self.where(site).start
        return first + number

    def rows(self, names: Iterable[str]) -> Int[Tensor, " chosen"]:
        """Rows of several neurons, in their order.

        Raises:
            UnknownNeuronError: One of them is none.
        """
        return torch.tensor([self.row(name) for name in names], dtype=torch.long)

    def within(self, rows: Int[Tensor, " chosen"], site: NeuronSite) -> Int[Tensor, " own"]:
        """Numbers, within a site, of those of the rows that are its neurons."""
        where = self.where(site)
        own: Tensor = rows[(rows >= where.start) & (rows < where.stop)] - where.start
        return own
