"""Requests that begin alike, as trees of tokens: every token that is the same in the same context is there once.

The tokens of a tree are laid out so that a node's descendants follow it directly. Token ``i`` then sees exactly
the tokens ``j`` with ``j <= i <= reach[j]``: itself and its ancestors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from semprune.data.batches.encoding import EncodedRequest

FREE_SIZE = 512
"""A tree may always grow to this size: attention over so many tokens is cheap beside the matrices (ours, measured:
8 % of a 135M model's forward at 256 tokens)."""


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """Tokens of requests that begin alike.

    Attributes:
        tokens: Token ids; a node's descendants follow it directly.
        depth: Position of each token in the texts that hold it.
        reach: Index of each token's last descendant, its own where it has none.
        requests: Which requests the tree answers.
        positions: For each of them, the index in the tree of the token that predicts each of its targets.
    """

    tokens: tuple[int, ...]
    depth: tuple[int, ...]
    reach: tuple[int, ...]
    requests: tuple[int, ...]
    positions: tuple[tuple[int, ...], ...]

    @property
    def is_path(self) -> bool:
        """Whether it is one text: no token has two successors."""
        return self.depth[-1] == len(self.tokens) - 1


def grow_trees(
    requests: Sequence[EncodedRequest],
    chosen: Iterable[int] | None = None,
    *,
    branching: bool,
    largest: int | None = None,
) -> list[PrefixTree]:
    """Group requests into trees.

    In lexicographic order, no earlier input shares more with an input than the one directly before it, so that one
    pass finds everything shared. An input that continues another joins its tree. With ``branching``, so does one that
    shares its whole context or half of its tokens with the input before, while the tree has no more tokens than
    :data:`FREE_SIZE` or twice the shared ones, whichever is more.

    Source: ours; attention over a tree of continuations is that of speculative decoding (arXiv 2305.09781).

    Args:
        requests: Encoded requests.
        chosen: Indices of those to take; None for all.
        branching: Whether trees may branch; else every tree is a path.
        largest: Most tokens of a tree that joins inputs; None for no limit.

    Returns:
        Trees that hold each chosen request once.

    Example:
        >>> texts = [((5, 6, 7), 1), ((5, 6, 8), 1), ((9,), 0)]
        >>> requests = [EncodedRequest(text, (1,) * (len(text) - start), start) for text, start in texts]
        >>> [(tree.tokens, tree.reach, tree.positions) for tree in grow_trees(requests, branching=True)]
        [((5, 6, 7, 8), (3, 3, 2, 3), ((1, 2), (1, 3))), ((9,), (0,), ((0,),))]
    """
    trees: list[_Growing] = []
    indices = range(len(requests)) if chosen is None else chosen
    for index in sorted(indices, key=lambda index: requests[index].input_ids):
        request = requests[index]
        shared = _shared(trees[-1].last, request.input_ids) if trees else 0
        if not trees or not _joins(trees[-1], request, shared, branching, largest):
            trees.append(_Growing())
            shared = 0
        trees[-1].add(index, request, shared)
    return [tree.grown() for tree in trees]


class _Growing:
    """A tree to which inputs are added in lexicographic order."""

    def __init__(self) -> None:
        self.last: tuple[int, ...] = ()
        self.tokens: list[int] = []
        self.depth: list[int] = []
        self.reach: list[int] = []
        self._path: list[int] = []  # index in the tree of each token of the last input
        self._requests: list[int] = []
        self._positions: list[tuple[int, ...]] = []

    def add(self, index: int, request: EncodedRequest, shared: int) -> None:
        first, new = len(self.tokens), request.input_ids[shared:]
        self._end(shared)
        self._path[shared:] = range(first, first + len(new))
        self.tokens.extend(new)
        self.depth.extend(range(shared, shared + len(new)))
        self.reach.extend(range(first, first + len(new)))
        self.last = request.input_ids
        self._requests.append(index)
        self._positions.append(tuple(self._path[request.start : request.start + len(request.targets)]))

    def grown(self) -> PrefixTree:
        self._end(0)
        return PrefixTree(
            tuple(self.tokens), tuple(self.depth), tuple(self.reach), tuple(self._requests), tuple(self._positions)
        )

    def _end(self, shared: int) -> None:
        """No further input continues the last one beyond its first ``shared`` tokens."""
        for position in self._path[shared:]:
            self.reach[position] = len(self.tokens) - 1


def _joins(tree: _Growing, request: EncodedRequest, shared: int, branching: bool, largest: int | None) -> bool:
    if shared == len(tree.last):  # it continues the last input
        return True
    size = len(tree.tokens) + len(request.input_ids) - shared
    if not branching or size > max(FREE_SIZE, 2 * shared) or (largest is not None and size > largest):
        return False
    return shared > request.start or 2 * shared >= len(request.input_ids)


def _shared(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Length of the common beginning."""
    both = min(len(first), len(second))
    if first[:both] == second[:both]:
        return both
    return next(index for index in range(both) if first[index] != second[index])
