"""Surfaces, word edges, n-grams and the trie, each against values by hand."""

import pytest
import torch

from semprune.concepts.tokens.boundaries import (
    APOSTROPHE,
    BOUNDARY,
    INSIDE,
    OPEN,
    state_after,
    state_before,
    transitions_after,
    transitions_before,
)
from semprune.concepts.tokens.surfaces import byte_alphabet, token_surfaces
from semprune.concepts.tokens.trie import NGramTrie, pack_labels, unpack_labels
from semprune.concepts.tokens.variants import case_variants, covering_suffix, glued_prefixes, word_ngrams


def test_byte_alphabet_is_that_of_the_tokenizers_library(tokenizers):
    backend = tokenizers["gpt2"].backend_tokenizer
    for text in ("é", "\n", " ", "\x00", "\u2019", "\xad", "~", "\x7f"):
        tokens = "".join(piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(text))
        assert bytes(byte_alphabet()[character] for character in tokens) == text.encode()


def test_surfaces_spell_the_text(tokenizer):
    text = "The party’s café, 'art' — 😀\n no longer"
    surfaces = token_surfaces(tokenizer)
    spelt = b"".join(surfaces[index] for index in tokenizer(text, add_special_tokens=False)["input_ids"])
    assert spelt.decode().removeprefix(" ") == text  # SentencePiece puts a space first


def test_special_tokens_write_nothing(tokenizer):
    surfaces = token_surfaces(tokenizer)
    assert [surfaces[index] for index in tokenizer.all_special_ids] == [b""] * len(tokenizer.all_special_ids)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("s", INSIDE),
        ("7", INSIDE),
        ("_", INSIDE),
        ("é", INSIDE),
        ("日", INSIDE),
        ("'s", INSIDE),
        ("’s", INSIDE),
        ("'", APOSTROPHE),
        ("’", APOSTROPHE),
        ("'”", BOUNDARY),
        ("’ s", BOUNDARY),
        ("‘s", BOUNDARY),
        ("-s", BOUNDARY),
        (" s", BOUNDARY),
        ("😀", BOUNDARY),
        ("…", BOUNDARY),
        ("", OPEN),
    ],
)
def test_states_mirror_each_other(text, state):
    assert state_after(text.encode()) == state
    assert state_before(text[::-1].encode()) == state


@pytest.mark.parametrize("text", ["s", "'s", "’s", "’é", "’日", "' ", "’”", "—x", "…", "é", "日", "😀", "'", "’"])
def test_reading_byte_by_byte_ends_like_reading_at_once(text):
    single = [bytes([byte]) for byte in range(256)]
    after, before = transitions_after(single), transitions_before(single)
    state = OPEN
    for byte in text.encode():
        state = int(after[byte, state])
    assert (state == INSIDE) == (state_after(text.encode()) == INSIDE)
    state = OPEN
    for byte in reversed(text[::-1].encode()):
        state = int(before[byte, state])
    assert (state == INSIDE) == (state_before(text[::-1].encode()) == INSIDE)


def test_settled_states_stay():
    for table in (transitions_after([b"x", b"'", b""]), transitions_before([b"x", b"'", b""])):
        assert table[:, INSIDE].tolist() == [INSIDE] * 3
        assert table[:, BOUNDARY].tolist() == [BOUNDARY] * 3
        assert table[2, :INSIDE].eq(BOUNDARY).all()  # a special token is an edge


def test_case_variants_with_apostrophes():
    assert case_variants("don't") == ("don't", "don’t", "Don't", "Don’t", "DON'T", "DON’T")
    assert case_variants("no longer") == ("no longer", "No longer", "NO LONGER")


def test_glued_prefixes_leave_plain_words_out():
    assert glued_prefixes([b" the", b"the", b"(s", b".s", b" (t", b"..", b"_x", b"\xe2"]) == {
        "s": ("(", "."),
        "t": (" (",),
    }


def test_covering_suffix_by_hand():
    surfaces = [b"a", b" b", b"c", b"", b"(b"]
    assert covering_suffix([0, 1, 2], b"bc", surfaces) == (1, 2)
    assert covering_suffix([0, 4, 2], b"bc", surfaces) == (4, 2)
    assert covering_suffix([0, 1, 2], b"xc", surfaces) is None
    assert covering_suffix([3, 2], b"bc", surfaces) is None  # a special token writes no letters
    assert covering_suffix([2], b"bc", surfaces) is None


def test_a_glued_sign_gives_its_own_ngram(tokenizers):
    tokenizer = tokenizers["llama3"]
    surfaces = token_surfaces(tokenizer)
    assert b"_good" in surfaces  # "_" is a word character, so this one is no glued sign
    glued = next(surface for surface in surfaces if surface[:1] in b"(.\"'-" and surface[1:].isalpha())
    word = glued[1:].decode()
    ngrams = word_ngrams([word], tokenizer, surfaces)[word]
    assert (surfaces.index(glued),) in ngrams


def test_bits_round_trip():
    flags = torch.rand(7, 19, generator=torch.Generator().manual_seed(0)) < 0.5
    rows = [pack_labels(row.nonzero().flatten().tolist(), 19) for row in flags]
    assert torch.equal(unpack_labels(torch.tensor(rows, dtype=torch.uint8), 19), flags)


def test_trie_walks_every_start_at_once():
    trie = NGramTrie({(1, 2): [0], (1, 2, 3): [1], (2, 3): [2], (9,): [0]}, vocabulary=11, concepts=3)
    ids = torch.tensor([1, 2, 3, 10, 1, 2, 10, 2, 3, 10, 9, 10])
    packed = torch.zeros(len(ids), 1, dtype=torch.uint8)
    everywhere = torch.ones(len(ids), dtype=torch.bool)
    trie.label(packed, ids, everywhere, everywhere)
    # (1,2) ends at 1 and 5; (1,2,3) at 2, where (2,3) ends as well; (2,3) at 8; single tokens are not the trie's
    assert packed[:, 0].tolist() == [0, 1, 2 + 4, 0, 0, 1, 0, 0, 4, 0, 0, 0]
    packed.zero_()
    trie.label(packed, ids, everywhere, everywhere.index_fill(0, torch.tensor([1]), False))
    assert packed[:, 0].tolist() == [0, 0, 2 + 4, 0, 0, 1, 0, 0, 4, 0, 0, 0]
    packed.zero_()
    trie.label(packed, ids, everywhere.index_fill(0, torch.tensor([0]), False), everywhere)
    assert packed[:, 0].tolist() == [0, 0, 4, 0, 0, 1, 0, 0, 4, 0, 0, 0]
