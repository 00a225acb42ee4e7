"""Id n-grams with label bits as flat tensors: an exact trie that whole batches walk at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor, nn

from semprune.concepts.tokens.variants import NGram


def pack_labels(members: Iterable[int], concepts: int) -> list[int]:
    """Concept indices as bytes, eight concepts each, lowest bit first.

    Example:
        >>> pack_labels({0, 9}, 10)
        [1, 2]
    """
    packed = [0] * -(-concepts // 8)
    for member in members:
        packed[member // 8] |= 1 << member % 8
    return packed


def unpack_labels(packed: UInt8[Tensor, "*places bytes"], concepts: int) -> Bool[Tensor, "*places concepts"]:
    """Bytes of :func:`pack_labels` as booleans.

    Example:
        >>> unpack_labels(torch.tensor([[1, 2]], dtype=torch.uint8), 10).nonzero()[:, 1].tolist()
        [0, 9]
    """
    powers = torch.tensor([1 << bit for bit in range(8)], dtype=torch.uint8, device=packed.device)
    return (packed.unsqueeze(-1) & powers).ne(0).flatten(-2)[..., :concepts]


class NGramTrie(nn.Module):
    """N-grams of two tokens and more, each with the concepts it is evidence for.

    Edges are keyed ``node * vocabulary + token``, so that a binary search is exact and nothing is hashed. Node 0 stands
    for "none"; buffers are not saved, since they follow from concepts and tokenizer.

    Args:
        ngrams: Ids to the indices of their concepts; those of one token are left to the caller.
        vocabulary: Number of token ids, including any that no n-gram holds.
        concepts: Number of concepts.
    """

    first: Int[Tensor, " vocabulary"]
    edges: Int[Tensor, " edges"]
    targets: Int[Tensor, " edges"]
    bits: UInt8[Tensor, "nodes bytes"]
    terminal: Bool[Tensor, " nodes"]

    def __init__(self, ngrams: Mapping[NGram, Iterable[int]], vocabulary: int, concepts: int) -> None:
        """Compile the n-grams."""
        super().__init__()
        self.vocabulary = vocabulary
        nodes: dict[NGram, int] = {(): 0}
        labels: dict[int, list[int]] = {}
        for ngram, members in ngrams.items():
            if len(ngram) > 1:
                for length in range(1, len(ngram) + 1):
                    nodes.setdefault(ngram[:length], len(nodes))
                labels[nodes[ngram]] = pack_labels(members, concepts)
        first = torch.zeros(vocabulary, dtype=torch.long)
        for path, node in nodes.items():
            if len(path) == 1:
                first[path[0]] = node
        edges = sorted(
            (nodes[path[:-1]] * vocabulary + path[-1], node) for path, node in nodes.items() if len(path) > 1
        )
        none = pack_labels((), concepts)
        bits = torch.tensor([labels.get(node, none) for node in range(len(nodes))], dtype=torch.uint8)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("edges", torch.tensor([key for key, _ in edges], dtype=torch.long), persistent=False)
        self.register_buffer("targets", torch.tensor([node for _, node in edges], dtype=torch.long), persistent=False)
        self.register_buffer("bits", bits, persistent=False)
        self.register_buffer("terminal", bits.ne(0).any(-1), persistent=False)

    def label(
        self,
        packed: UInt8[Tensor, "places bytes"],
        ids: Int[Tensor, " places"],
        may_start: Bool[Tensor, " places"],
        may_end: Bool[Tensor, " places"],
    ) -> None:
        """Add to ``packed``, in place, the bits of every n-gram at its last place.

        Args:
            packed: Label bits so far.
            ids: Token ids; rows joined with at least one id between and after them that no n-gram holds.
            may_start: Where a word may begin.
            may_end: Where a word may end.
        """
        if not len(self.edges):
            return
        place = (may_start & self.first[ids].ne(0)).nonzero().squeeze(-1)  # [walkers]
        node = self.first[ids[place]]
        while len(place):
            place = place + 1
            key = node * self.vocabulary + ids[place]
            edge = torch.searchsorted(self.edges, key).clamp_(max=len(self.edges) - 1)
            found = self.edges[edge] == key
            place, node = place[found], self.targets[edge[found]]
            done = self.terminal[node] & may_end[place]
            packed[place[done]] |= self.bits[node[done]]
