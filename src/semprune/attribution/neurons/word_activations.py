"""The paper's own figure as a table: how strongly a concept's neurons answer to each of its words."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from semprune.attribution.neurons.watch import Watch

WORDS = 30  # of each concept, the most frequent ones
LOOK_BACK = 6  # tokens before a word's last one: no word of the vocabularies is longer


def word_means(
    watch: Watch,
    neurons: Mapping[str, Sequence[int]],
    concepts: Sequence[str],
    decode: Callable[[list[int]], str],
) -> pd.DataFrame:
    """Mean raw activation of neurons at the words of their concept.

    A word is read off at the token that ends it, where the label is. Source: ours, after the figure of
    arXiv 2503.01542 (word × neuron activation, dense against pruned).

    Args:
        watch: Activations of the watched neurons over held-out tokens, after ``finish``.
        neurons: Rows of the neurons to show, by concept; those that are not watched are left out.
        concepts: Token-level concepts, in the order of the watch's labels.
        decode: Token ids to text.

    Returns:
        Columns concept, word, row (of the neuron), n (occurrences) and mean; the most frequent words first.
    """
    slots = {row: slot for slot, row in enumerate(watch.rows)}
    rows = []
    for c, concept in enumerate(concepts):
        own = [row for row in neurons.get(concept, ()) if row in slots]
        places: dict[str, list[int]] = defaultdict(list)
        for place in watch.labels[:, c].nonzero()[:, 0].tolist() if own else []:
            places[word_at(watch.token, watch.document, place, decode)].append(place)
        ordered = sorted(places.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        for word, where in ordered[:WORDS]:
            means = watch.values[torch.tensor(where)].mean(0)
            rows += [
                {"concept": concept, "word": word, "row": row, "n": len(where), "mean": float(means[slots[row]])}
                for row in own
            ]
    return pd.DataFrame(rows, columns=["concept", "word", "row", "n", "mean"])


def word_at(
    token: Int[Tensor, " tokens"], document: Int[Tensor, " tokens"], place: int, decode: Callable[[list[int]], str]
) -> str:
    """The word that a token ends, in lower case and without punctuation around it.

    Example:
        >>> pieces = ["very", " unh", "appy"]
        >>> word_at(torch.tensor([0, 1, 2]), torch.zeros(3), 2, lambda ids: "".join(pieces[k] for k in ids))
        'unhappy'
    """
    first = max(place - LOOK_BACK, 0)
    inside = document[first : place + 1] == document[place]
    text = decode(token[first : place + 1][inside].tolist())
    last = text.split()[-1:] or [text]
    return last[0].lower().strip(string.punctuation) or last[0]
