"""Raw activations of a few chosen neurons: what excites them, what each word excites, and what pruning leaves."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.association.neurons import NeuronIndex
from semprune.attribution.fit.learner import LabelledBatch
from semprune.io.distributed import gather_rows
from semprune.types import NeuronSite


def token_evidence(labelled: LabelledBatch, classes: int) -> Bool[Tensor, "documents tokens concepts"]:
    """Tokens that count as a concept's own, token-level concepts first, then classes.

    A class has no tokens of its own: all valid tokens of its documents count. Tokens that do not count (padding, first
    positions) are no evidence of anything.

    Args:
        labelled: A prepared batch.
        classes: Number of sequence-level concepts.
    """
    own = labelled.batch.label[:, None] == torch.arange(classes, device=labelled.valid.device)
    both = torch.cat([labelled.labels, own[:, None].expand(-1, labelled.valid.shape[1], -1)], dim=-1)
    return both & labelled.valid[..., None]


CONTEXT_TOKENS = 12  # on either side of an exciting token


def card_rows(association: Association, per_concept: int) -> list[int]:
    """Rows of the strongest neurons of every concept, each once."""
    rows: dict[int, None] = {}
    for concept in association.concepts:
        strength = association.ranking(concept)
        best = strength.topk(min(per_concept, len(strength)))
        rows |= dict.fromkeys(r for r, v in zip(best.indices.tolist(), best.values.tolist(), strict=True) if v > 0)
    return list(rows)


class Watch:
    """Collects activations ``[tokens, watched]`` of chosen neurons, with the tokens and their labels."""

    def __init__(self, rows: Sequence[int], index: NeuronIndex, classes: int) -> None:
        """Find where the rows lie among the sites."""
        self.rows = list(rows)
        self._classes = classes
        self._index = index
        self._parts: dict[str, list[Tensor]] = {name: [] for name in ("values", "token", "document", "place", "labels")}
        self.values: Float[Tensor, "tokens watched"] = torch.zeros(0, len(self.rows))
        self.token: Int[Tensor, " tokens"] = torch.zeros(0, dtype=torch.long)
        self.document: Int[Tensor, " tokens"] = torch.zeros(0, dtype=torch.long)
        self.labels: Tensor = torch.zeros(0, 0, dtype=torch.bool)

    def begin(self, labelled: LabelledBatch) -> None:
        """Note the tokens of a batch."""
        place = torch.arange(labelled.valid.shape[1], device=labelled.valid.device).expand_as(labelled.valid)
        document = labelled.batch.document[:, None].expand_as(labelled.valid)
        for name, grid in (("token", labelled.batch.input_ids), ("document", document), ("place", place)):
            self._parts[name].append(grid[labelled.valid].cpu())
        self._parts["labels"].append(token_evidence(labelled, self._classes)[labelled.valid].cpu())
        self._parts["values"].append(torch.zeros(len(self._parts["token"][-1]), len(self.rows)))

    def take(
        self,
        site: NeuronSite,
        activations: Float[Tensor, "documents tokens neurons"],
        valid: Bool[Tensor, "documents tokens"],
    ) -> None:
        """Take the watched neurons of one site, over the batch's valid tokens."""
        where = self._index.where(site)
        own = [(slot, row - where.start) for slot, row in enumerate(self.rows) if where.start <= row < where.stop]
        if own:
            slots, columns = map(list, zip(*own, strict=True))
            self._parts["values"][-1][:, slots] = activations[..., columns][valid].float().cpu()

    def finish(self) -> None:
        """Gather over ranks, in the order of documents and tokens."""
        whole = {name: gather_rows(torch.cat(parts)) for name, parts in self._parts.items() if parts}
        if not whole:
            return
        order = (whole["document"] * (int(whole["place"].max()) + 1) + whole["place"]).argsort()
        self.values, self.token = whole["values"][order], whole["token"][order]
        self.document, self.labels = whole["document"][order], whole["labels"][order].bool()

    def evidence_means(self) -> Float[Tensor, "concepts watched"]:
        """Mean activation over tokens that carry a concept, or lie in documents of a class (NaN without any)."""
        labels = self.labels.float()
        return labels.T @ self.values / labels.sum(0)[:, None]

    def exciting(self, slot: int, most: int = 3) -> list[tuple[int, float]]:
        """Positions of the tokens that excite a watched neuron most, one per document, with the activation."""
        best: list[tuple[int, float]] = []
        documents: set[int] = set()
        for place in self.values[:, slot].argsort(descending=True).tolist():
            if int(self.document[place]) not in documents:
                documents.add(int(self.document[place]))
                best.append((place, float(self.values[place, slot])))
            if len(best) == most:
                break
        return best

    def around(self, place: int) -> tuple[list[int], int, list[int]]:
        """Token ids before, at and after a position, within its document."""
        same = (self.document == self.document[place]).nonzero()[:, 0]
        first, last = int(same[0]), int(same[-1])
        ids = self.token.tolist()
        before = ids[max(first, place - CONTEXT_TOKENS) : place]
        return before, ids[place], ids[place + 1 : min(last, place + CONTEXT_TOKENS) + 1]


def neuron_table(association: Association, per_concept: int) -> pd.DataFrame:
    """The strongest neurons of every concept with all that is known of them; of few texts there may be none."""
    names, classes, layer = association.neurons, association.class_names(), association.layer.tolist()
    specificity, rows = association.specificity, []
    for column, (concept, level) in enumerate(zip(association.concepts, association.levels, strict=True)):
        best = association.ranking(concept).topk(per_concept)
        for rank, (row, value) in enumerate(zip(best.indices.tolist(), best.values.tolist(), strict=True), 1):
            if value <= 0:
                break
            rows.append({
                "concept": concept, "level": level, "rank": rank, "neuron": names[row], "layer": layer[row],
                "index": association.index.place(names[row])[1], "effect": float(association.matrix[row, column]),
                "t": float(association.t[row, column]), "q": float(association.q[row, column]),
                "specificity": float(specificity[row, column]), "neuron_class": classes[row],
            })  # fmt: skip
    return pd.DataFrame(rows)


WORDS = 30  # of each concept, the most frequent ones
LOOK_BACK = 6  # tokens before a word's last one: no word of the vocabularies is longer


def word_means(
    watch: Watch, neurons: Mapping[str, Sequence[int]], concepts: Sequence[str], decode: Callable[[list[int]], str]
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
