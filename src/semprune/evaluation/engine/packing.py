"""From prefix trees to rows of one forward, and the scores that are read from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from semprune.data.batches.batching import pad
from semprune.data.batches.encoding import EncodedRequest
from semprune.evaluation.engine.causal_lm import CausalLM, evaluating
from semprune.evaluation.engine.prefix_tree import PrefixTree
from semprune.evaluation.engine.token_logprobs import token_logprobs
from semprune.evaluation.engine.tree_attention import TreeRows


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Rows of one forward.

    Attributes:
        input_ids: Right-padded token ids.
        attention_mask: 1 for tokens, 0 for padding.
        trees: Who sees whom; None where every row is one text.
        row: Row of each target.
        position: Position in the row whose logits predict each target.
        target: Token id of each target.
        request: Index of each target's request, in the caller's list.
    """

    input_ids: Int[Tensor, "rows tokens"]
    attention_mask: Int[Tensor, "rows tokens"]
    trees: TreeRows | None
    row: Int[Tensor, " targets"]
    position: Int[Tensor, " targets"]
    target: Int[Tensor, " targets"]
    request: Int[Tensor, " targets"]


def plan_batches(trees: Sequence[PrefixTree], token_budget: int, *, branching: bool) -> list[list[PrefixTree]]:
    """Trees of similar sizes together, largest first, so that memory runs out in the first batch if ever.

    Args:
        trees: The trees.
        token_budget: Most tokens of a batch, padding included where every tree has a row of its own. A tree that is
            larger is a batch of its own.
        branching: Whether trees may share rows.

    Returns:
        Batches that hold each tree once.
    """
    batches: list[list[PrefixTree]] = []
    held = 0
    for tree in sorted(trees, key=lambda tree: -len(tree.tokens)):
        size = len(tree.tokens) if branching or not batches else len(batches[-1][0].tokens)
        if not batches or held + size > token_budget:
            batches.append([])
            held, size = 0, len(tree.tokens)
        batches[-1].append(tree)
        held += size
    return batches


WIDTHS = (1.0, 1.1, 1.25, 1.5, 1.75, 2.0)
"""Lengths of rows that are tried, in units of the largest tree: longer rows leave less to pad."""

ATTENTION_LENGTH = 2000
"""Tokens of a row at which attention would cost as much as the matrices: what a longer row is weighed with. For a 135M
model by its operations (3,000) and measured on one core (1,000 to 2,000); larger models have more (ours)."""


def pack_rows(trees: Sequence[PrefixTree]) -> list[list[PrefixTree]]:
    """Put trees into rows so that little is left to pad: each into the first row that has room.

    Args:
        trees: The trees of a batch, largest first. Where all are paths, each keeps a row of its own: attention along
            rows needs no mask.

    Returns:
        The trees of each row.
    """
    if all(tree.is_path for tree in trees):
        return [[tree] for tree in trees]
    sizes = np.array([len(tree.tokens) for tree in trees])
    fillings = [first_fit(sizes, int(factor * sizes[0])) for factor in WIDTHS]
    row_of = min(fillings, key=lambda filling: _cost(sizes, filling))
    rows: list[list[PrefixTree]] = [[] for _ in range(int(row_of.max()) + 1)]
    for tree, row in zip(trees, row_of.tolist(), strict=True):
        rows[row].append(tree)
    return rows


def first_fit(sizes: Int[np.ndarray, " things"], width: int) -> Int[np.ndarray, " things"]:
    """Row of each thing: the first one that has room for it.

    Args:
        sizes: Size of each thing, none above ``width``.
        width: Room of a row.

    Example:
        >>> first_fit(np.array([4, 3, 2, 1]), width=5).tolist()
        [0, 1, 1, 0]
    """
    room = np.full(len(sizes), width)
    row_of = np.zeros(len(sizes), dtype=np.int64)
    for thing, size in enumerate(sizes.tolist()):
        row_of[thing] = row = int((room >= size).argmax())
        room[row] -= size
    return row_of


def _cost(sizes: Int[np.ndarray, " things"], row_of: Int[np.ndarray, " things"]) -> float:
    """Padded tokens, weighed with attention's share in rows of this length."""
    held = np.bincount(row_of, weights=sizes)
    return float(len(held) * held.max() * (1 + held.max() / ATTENTION_LENGTH))


def pack(trees: Sequence[PrefixTree], requests: Sequence[EncodedRequest], padding: int) -> PackedBatch:
    """Make the rows of one forward.

    Args:
        trees: The trees of a batch, largest first.
        requests: The requests that the trees were grown from.
        padding: Token id to fill with.
    """
    rows = pack_rows(trees)
    input_ids, attention_mask = pad([[token for tree in row for token in tree.tokens] for row in rows], padding)
    targets = [
        (number, first + place, token, index)
        for number, row in enumerate(rows)
        for first, tree in zip(_firsts(row), row, strict=True)
        for index, positions in zip(tree.requests, tree.positions, strict=True)
        for place, token in zip(positions, requests[index].targets, strict=True)
    ]
    row, position, target, request = torch.tensor(targets, dtype=torch.long).reshape(-1, 4).unbind(1)
    layout = None if all(len(trees) == 1 and trees[0].is_path for trees in rows) else _tree_rows(rows, input_ids)
    return PackedBatch(input_ids, attention_mask, layout, row, position, target, request)


def _firsts(row: Sequence[PrefixTree]) -> list[int]:
    """Where each tree of a row begins."""
    return [sum(len(tree.tokens) for tree in row[:index]) for index in range(len(row))]


def _tree_rows(rows: Sequence[Sequence[PrefixTree]], input_ids: Int[Tensor, "rows tokens"]) -> TreeRows:
    depth = torch.zeros_like(input_ids)
    reach = torch.arange(input_ids.shape[1]).repeat(len(rows), 1)  # padding sees itself: a softmax over nothing is NaN
    for number, row in enumerate(rows):
        for first, tree in zip(_firsts(row), row, strict=True):
            last = first + len(tree.tokens)
            depth[number, first:last] = torch.tensor(tree.depth)
            reach[number, first:last] = torch.tensor(tree.reach) + first
    return TreeRows(depth, reach)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the requests of one batch.

    Attributes:
        requests: Their indices.
        sums: Summed log-probability of each, in nats.
        greedy: Whether greedy decoding would give exactly this continuation.
    """

    requests: tuple[int, ...]
    sums: tuple[float, ...]
    greedy: tuple[bool, ...]


def score_packed(model: CausalLM, batch: PackedBatch) -> Scored:
    """Log-likelihoods of the requests of a packed batch, in one forward.

    Args:
        model: Any causal LM with a head.
        batch: The rows.

    Returns:
        The scores, in the order of the requests' indices.

    Raises:
        CaptureError: If the model has no head, or is compiled.
    """
    with evaluating(model):
        logprobs, greedy = token_logprobs(
            model, batch.input_ids, batch.attention_mask, batch.row, batch.position, batch.target, trees=batch.trees
        )
    requests, place = batch.request.unique(return_inverse=True)
    sums = torch.zeros(len(requests), dtype=torch.float64).index_add_(0, place, logprobs.cpu().double())
    misses = torch.zeros(len(requests), dtype=torch.int64).index_add_(0, place, (~greedy).cpu().long())
    return Scored(tuple(requests.tolist()), tuple(sums.tolist()), tuple((misses == 0).tolist()))
