"""How a tokenizer writes a word: every id n-gram under which it can stand in a text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from semprune.concepts.tokens.surfaces import Tokenizer

NGram = tuple[int, ...]
_GLUED: Final = re.compile(r"(\W+)(\w.*)", re.DOTALL)
# A newline before a word keeps tokenizers from adding a space of their own, and none merges it with a letter. After an
# opening quote GPT-2's split takes "'s", "'d" … for a clitic ("'sad" becomes "'s", "ad").
_CONTEXTS: Final = ("", "\n", "\n ", "\n'")
_CHUNK: Final = 4096  # texts encoded in one call: bounds the memory of the encodings


def case_variants(word: str) -> tuple[str, ...]:
    """A word in lower case, with a capital, in capitals; each with both kinds of apostrophe.

    Example:
        >>> case_variants("art")
        ('art', 'Art', 'ART')
        >>> len(case_variants("don't")), len(case_variants("i"))
        (6, 2)
    """
    cased = (word, word[0].upper() + word[1:], word.upper())
    return tuple(dict.fromkeys(form for text in cased for form in (text, text.replace("'", "\u2019"))))


def glued_prefixes(surfaces: Iterable[bytes]) -> dict[str, tuple[str, ...]]:
    """Which signs the vocabulary glues to the beginning of words (``"(s"``, ``"'re"``, ``".com"``).

    Returns:
        The letters of each such token to the signs before them. A plain leading space is left out.

    Example:
        >>> glued_prefixes([b"(s", b"s", b" s", b"'s"])
        {'s': ('(', "'")}
    """
    glued: defaultdict[str, list[str]] = defaultdict(list)
    for surface in surfaces:
        match = _GLUED.fullmatch(surface.decode(errors="ignore"))
        if match and match[1] != " ":
            glued[match[2]].append(match[1])
    return {letters: tuple(signs) for letters, signs in glued.items()}


def covering_suffix(ids: Sequence[int], word: bytes, surfaces: Sequence[bytes]) -> NGram | None:
    """The last tokens that write ``word``, the first of them with signs or a space before it, or not.

    Returns:
        Their ids, or None where the tokens do not write the word (unknown token, normalised text).

    Example:
        >>> covering_suffix([0, 1, 2], b"good", [b"(", b" go", b"od"])
        (1, 2)
        >>> covering_suffix([0, 1, 2], b"wood", [b"(", b" go", b"od"])
    """
    written = b""
    for start in range(len(ids) - 1, -1, -1):
        if not surfaces[ids[start]]:
            return None
        written = surfaces[ids[start]] + written
        if len(written) >= len(word):
            return tuple(ids[start:]) if written.endswith(word) else None
    return None


def word_ngrams(words: Iterable[str], tokenizer: Tokenizer, surfaces: Sequence[bytes]) -> dict[str, set[NGram]]:
    """Every id n-gram of every word, over casings, apostrophes and what may stand before it.

    A sign before a word, other than an apostrophe, changes its tokens only where the vocabulary holds that sign glued
    to the word's first letters, so only those signs are tried.

    Args:
        words: Lower-case words and phrases.
        tokenizer: The tokenizer to write them with.
        surfaces: Its :func:`~semprune.concepts.tokens.surfaces.token_surfaces`.

    Returns:
        Word to its n-grams; an empty set where the tokenizer cannot write the word.
    """
    glued = glued_prefixes(surfaces)
    longest = max(map(len, glued), default=0)
    found: dict[str, set[NGram]] = {word: set() for word in words}
    jobs = [
        (word, form, context + form)
        for word in found
        for form in case_variants(word)
        for context in _contexts(form[:longest], glued)
    ]
    for begin in range(0, len(jobs), _CHUNK):
        some = jobs[begin : begin + _CHUNK]
        texts = [text for _, _, text in some]
        encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False)[
            "input_ids"
        ]
        for (word, form, _), ids in zip(some, encoded, strict=True):
            ngram = covering_suffix(ids, form.encode(), surfaces)
            if ngram is not None:
                found[word].add(ngram)
    return found


def _contexts(form: str, glued: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    signs = (sign for length in range(1, len(form) + 1) for sign in glued.get(form[:length], ()))
    return (*_CONTEXTS, *dict.fromkeys("\n" + sign for sign in signs))
