"""Which tokens of a batch are evidence for which concept: tensor lookups only, on whatever device the ids are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor, nn

from semprune.concepts.concept import Concept
from semprune.concepts.tokens.boundaries import OPEN, read_edges, state_at_start, transitions_after, transitions_before
from semprune.concepts.tokens.surfaces import Tokenizer, token_surfaces
from semprune.concepts.tokens.trie import NGramTrie, pack_labels, unpack_labels
from semprune.concepts.tokens.variants import NGram, word_ngrams
from semprune.errors import UnencodableConceptError


class TokenLabeller(nn.Module):
    """Token-level concept labels of a batch, compiled once for a tokenizer.

    A word counts at its last token, in lower case, capitalised and in capitals, and only as a whole word (see
    :mod:`semprune.concepts.tokens.boundaries`). Words that overlap all count. Words whose end a tokenizer merges with
    the punctuation behind them are not found; neither are phrases with a line break inside. Source: ours.

    Args:
        concepts: The concepts, in the order of the last axis.
        tokenizer: A Hugging Face tokenizer, byte-level BPE or SentencePiece.

    Attributes:
        concepts: The concepts.
        skipped: Concept name to those of its words that the tokenizer cannot write.

    Raises:
        UnencodableConceptError: If the tokenizer can write no word of a concept.
        SettingError: If the tokenizer is of another kind.
    """

    skipped: dict[str, tuple[str, ...]]
    single: UInt8[Tensor, "vocabulary bytes"]
    pattern: UInt8[Tensor, "vocabulary bytes"]
    start: UInt8[Tensor, " vocabulary"]
    before: UInt8[Tensor, " transitions"]
    after: UInt8[Tensor, " transitions"]

    def __init__(self, concepts: Sequence[Concept], tokenizer: Tokenizer) -> None:
        """Compile the tables."""
        super().__init__()
        self.concepts = tuple(concepts)
        surfaces = token_surfaces(tokenizer)
        self.outside = len(surfaces)  # stands for padding and for ids beyond the tokenizer's; writes nothing
        ngrams = self._ngrams(tokenizer, surfaces)
        surfaces.append(b"")
        self.trie = NGramTrie(ngrams, len(surfaces), len(self.concepts))
        singles = {ngram[0]: members for ngram, members in ngrams.items() if len(ngram) == 1}
        self.register_buffer("single", self._bit_table(singles), persistent=False)
        self.register_buffer("pattern", self._bit_table(self._pattern_members(surfaces)), persistent=False)
        start = torch.tensor([state_at_start(surface) for surface in surfaces], dtype=torch.uint8)
        self.register_buffer("start", start, persistent=False)
        self.register_buffer("before", transitions_before(surfaces).flatten(), persistent=False)
        self.register_buffer("after", transitions_after(surfaces).flatten(), persistent=False)

    def forward(
        self, input_ids: Int[Tensor, "batch tokens"], attention_mask: Int[Tensor, "batch tokens"] | None = None
    ) -> Bool[Tensor, "batch tokens concepts"]:
        """Label a batch.

        Args:
            input_ids: Token ids.
            attention_mask: 0 at padding, which is never labelled; None where nothing is padding.

        Returns:
            True where the token ends a word of the concept, or matches its token pattern.
        """
        batch, tokens = input_ids.shape
        framed = torch.full((batch, tokens + 2), self.outside, device=input_ids.device)  # no row sees its neighbours
        framed[:, 1:-1] = input_ids.clamp(max=self.outside)
        if attention_mask is not None:
            framed[:, 1:-1].masked_fill_(attention_mask.eq(0), self.outside)
        packed = self._packed(framed.flatten())  # [batch * (tokens + 2), bytes]
        return unpack_labels(packed.view(batch, tokens + 2, packed.shape[-1])[:, 1:-1], len(self.concepts))

    def _packed(self, ids: Int[Tensor, " places"]) -> UInt8[Tensor, "places bytes"]:
        may_start = read_edges(self.before, ids, self.start[ids], step=-1)
        may_end = read_edges(self.after, ids, torch.full_like(ids, OPEN, dtype=torch.uint8), step=1)
        packed = self.single[ids] * (may_start & may_end).unsqueeze(-1)
        packed |= self.pattern[ids]
        self.trie.label(packed, ids, may_start, may_end)
        return packed

    def _ngrams(self, tokenizer: Tokenizer, surfaces: Sequence[bytes]) -> dict[NGram, set[int]]:
        words = dict.fromkeys(word for concept in self.concepts for word in concept.words)
        found = word_ngrams(words, tokenizer, surfaces)
        self.skipped = {}
        members: defaultdict[NGram, set[int]] = defaultdict(set)
        for index, concept in enumerate(self.concepts):
            skipped = tuple(word for word in concept.words if not found[word])
            if skipped == concept.words and concept.token_pattern is None:
                raise UnencodableConceptError(concept.name, len(skipped))
            if skipped:
                self.skipped[concept.name] = skipped
            for word in concept.words:
                for ngram in found[word]:
                    members[ngram].add(index)
        return members

    def _pattern_members(self, surfaces: Sequence[bytes]) -> dict[int, set[int]]:
        patterns = {i: re.compile(c.token_pattern) for i, c in enumerate(self.concepts) if c.token_pattern is not None}
        members: defaultdict[int, set[int]] = defaultdict(set)
        for token, surface in enumerate(surfaces):
            text = surface.decode(errors="replace").strip()
            for index, pattern in patterns.items():
                if text and pattern.fullmatch(text):
                    members[token].add(index)
        return members

    def _bit_table(self, members: Mapping[int, set[int]]) -> UInt8[Tensor, "vocabulary bytes"]:
        table = torch.tensor([pack_labels((), len(self.concepts))], dtype=torch.uint8).repeat(self.outside + 1, 1)
        for token, indices in members.items():
            table[token] = torch.tensor(pack_labels(indices, len(self.concepts)), dtype=torch.uint8)
        return table
