"""The nouns that pass between rooms: frozen dataclasses, no behaviour beyond their own shape.

The numbers that a user may set have their range in their type (:data:`Count`, :data:`Share` …);
:mod:`semprune.ranges` checks values against it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final, Literal

if TYPE_CHECKING:  # commands that only read a run import this and not torch
    from jaxtyping import Float, Int
    from torch import Tensor

MOST: Final = 2**32 - 1
"""Largest number that a setting may have where nothing smaller is said: what generators take as a seed. No setting has
a use for more, and libraries overflow in their own words."""


@dataclass(frozen=True, slots=True)
class Range:
    """Where a number lies, as the second part of an annotated type; NaN and infinity lie in none.

    Attributes:
        low: Lower end.
        high: Upper end.
        ends: Whether the ends belong to it, as mathematics writes it: ``[]``, ``[)``, ``(]`` or ``()``.
        words: The range in words, for messages; empty where the numbers say it.
        null: What null stands for where it is allowed, for messages.

    Example:
        >>> 0.0 in Range(0, 1, "()"), 0.5 in Range(0, 1, "()"), float("nan") in Range(0)
        (False, True, False)
        >>> str(Range(1)), str(Range(0, ends="(]")), str(Range(0, 1, "[)"))
        ('at least 1', 'above 0', 'in [0, 1)')
    """

    low: float
    high: float = MOST
    ends: str = "[]"
    words: str = ""
    null: str = ""

    def __contains__(self, value: float) -> bool:
        """Whether a number lies inside."""
        above = value > self.low if self.ends[0] == "(" else value >= self.low
        return above and (value < self.high if self.ends[1] == ")" else value <= self.high)

    def __str__(self) -> str:
        """The range in words; :data:`MOST` is not worth any."""
        if self.words:
            return self.words
        if self.high < MOST:
            return f"in {self.ends[0]}{self.low:g}, {self.high:g}{self.ends[1]}"
        return f"{'above' if self.ends[0] == '(' else 'at least'} {self.low:g}"


class SparsityRange(Range):
    """The range of sparsities: outside is a ``SparsityRangeError``, which knows percentages."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A list that holds something, as the second part of an annotated type.

    Attributes:
        allowed: What it must be, for messages.
    """

    allowed: str


Count = Annotated[int, Range(1)]
"""How many of something that must be there."""
Amount = Annotated[int, Range(0)]
"""How many of something that may be missing."""
Limit = Annotated[int, Range(1, null="for all")] | None
"""At most so many; None is all."""
Seed = Annotated[int, Range(0)]
"""Seed of a random draw."""
Length = Annotated[int, Range(2)]
"""Tokens of a text: one alone predicts nothing."""
Share = Annotated[float, Range(0, 1, "()")]
"""A part of something, neither nothing nor all."""
PartOrNone = Annotated[float, Range(0, 1, "[)")]
"""A part of something, not all of it."""
Sparsity = Annotated[float, SparsityRange(0, 1, "[)")]
"""Share of weights set to zero."""
Level = Annotated[float, Range(0, 1, "(]")]
"""A level of significance, or a false discovery rate."""
Positive = Annotated[float, Range(0, ends="(]")]
"""A finite number above 0."""
NonNegative = Annotated[float, Range(0)]
"""A finite number, 0 or more."""
TokenBudget = Count | Literal["auto"]
"""Most tokens of a forward; ``auto`` is halved whenever memory runs out."""


@dataclass(frozen=True, slots=True)
class NeuronSite:
    """A place in a frozen LLM whose coordinates are neurons.

    Attributes:
        name: Stable site name, ``layers.{layer}.mlp`` or ``layers.{layer}.attn``.
        layer: Index of the decoder block.
        kind: ``mlp`` (input of the down-projection) or ``attention`` (input of the attention's output projection, its
            heads side by side).
        width: Number of neurons.
        module: Dotted path of the module whose *input* holds the neurons.
    """

    name: str
    layer: int
    kind: str
    width: int
    module: str


@dataclass(frozen=True, slots=True)
class PrunableMatrix:
    """A linear weight inside a decoder block, or one expert's slice of a stack of them.

    Attributes:
        name: Dotted path of the module inside the Hugging Face model; for an expert followed by the parameter's name
            and the expert's index.
        layer: Index of the decoder block.
        role: ``q``, ``k``, ``v``, ``qkv``, ``o``, ``gate``, ``up``, ``gate_up`` or ``down``.
        transposed: True where the stored weight is ``[in, out]`` (GPT-2's Conv1D).
        parameter: Name of the parameter in the module.
        expert: Which slice of a parameter ``[experts, rows, columns]``; None where the parameter is the matrix.

    Example:
        >>> matrix = PrunableMatrix("layers.0.experts.down_proj.3", 0, "down", parameter="down_proj", expert=3)
        >>> matrix.module, matrix.key
        ('layers.0.experts', 'layers.0.experts.down_proj')
    """

    name: str
    layer: int
    role: str
    transposed: bool = False
    parameter: str = "weight"
    expert: int | None = None

    @property
    def module(self) -> str:
        """Dotted path of the module inside the Hugging Face model."""
        return self.name if self.expert is None else self.name.removesuffix(f".{self.parameter}.{self.expert}")

    @property
    def key(self) -> str:
        """Name of the whole parameter in the model's state dict."""
        return f"{self.module}.{self.parameter}"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Which model an artefact was made with; independent of the dtype it is loaded in.

    Attributes:
        architecture: Class name of the model.
        revision: Commit, release, ``local`` or ``memory``.
        weights_sha256: Hash of the stored tensors.
        configuration_sha256: Hash of what else decides what the model computes: configuration, tokenizer, generation
            settings. Empty in artefacts of a version that did not keep it.
    """

    architecture: str
    revision: str
    weights_sha256: str
    configuration_sha256: str = ""

    def __str__(self) -> str:
        """Architecture, revision, 12 digits of the weights' hash, 6 of the configuration's where it is known.

        Example:
            >>> str(Fingerprint("Llama", "main", "0123456789abcdef", "fedcba9876543210"))
            'Llama@main:0123456789ab-fedcba'
        """
        configuration = f"-{self.configuration_sha256[:6]}" if self.configuration_sha256 else ""
        return f"{self.architecture}@{self.revision}:{self.weights_sha256[:12]}{configuration}"

    def fits(self, other: Fingerprint) -> bool:
        """Whether both are of one model; a configuration that one of them does not know is not compared.

        Example:
            >>> old, new, other = (Fingerprint("L", "r", "w", configuration) for configuration in ("", "a", "b"))
            >>> new.fits(old), old.fits(other), new.fits(other)
            (True, True, False)
        """
        known = {mark.configuration_sha256 for mark in (self, other)} - {""}
        return len(known) < 2 and replace(self, configuration_sha256="") == replace(other, configuration_sha256="")


@dataclass(frozen=True, slots=True)
class LayerStats:
    """Streaming statistics of one linear's input over calibration tokens (padding left out).

    Attributes:
        sum_squares: Token-weighted sum of squares per input feature, fp32.
        tokens: Sum of the token weights (the number of tokens where every weight is 1).
        sequences: Number of calibration sequences seen.
        mean_squares: fp32 running mean over sequences of each sequence's sum of squares, in the arithmetic of the
            published code; only gathered for ``selection: reference``.
        second_moments: Twice the mean over sequences of each one's token-weighted sum of outer products, fp32: the
            Hessian of equations.md P4; only gathered for methods that read it.
    """

    sum_squares: Float[Tensor, " in"]
    tokens: float
    sequences: int
    mean_squares: Float[Tensor, " in"] | None = None
    second_moments: Float[Tensor, "in in"] | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its origin.

    Attributes:
        dataset: Name of the data set it comes from.
        document_id: Identifier of the document that the text is from: the cluster for statistics. Unique
            within the data set, except that sentences of one review or article share it.
        text: The plain text.
        label: Class name, or None where the text has none.
    """

    dataset: str
    document_id: str
    text: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One evaluation item, rendered: a (context, continuation) request per choice.

    Attributes:
        dataset: Name of the data set.
        item_id: Identifier, unique within the data set.
        document_id: Cluster for the bootstrap; equals ``item_id`` where items are independent.
        requests: One (context, continuation) pair per choice.
        label: Index of the right choice.
        prompt: Name of the prompt that rendered it.
        grade: Graded label (similarity by people) where the data set has one: what ``spearman`` ranks against.
    """

    dataset: str
    item_id: str
    document_id: str
    requests: tuple[tuple[str, str], ...]
    label: int
    prompt: str
    grade: float | None = None


@dataclass(slots=True)
class DocumentBatch:
    """Texts as tensors, one text per row.

    Attributes:
        input_ids: Right-padded token ids.
        attention_mask: 1 for tokens, 0 for padding.
        document: Global index of each text in its data module's split (unique).
        dataset: Index of each text's data set in the data module's ``datasets``.
        label: Index into the data module's ``classes`` (names ``dataset.class``), -1 where unlabelled.
        cluster: Global index of the document that each text is from, in the same split: texts of one review or
            article share it, texts of different data sets never do. The unit of resampling and of clustered errors.
    """

    input_ids: Int[Tensor, "documents tokens"]
    attention_mask: Int[Tensor, "documents tokens"]
    document: Int[Tensor, " documents"]
    dataset: Int[Tensor, " documents"]
    label: Int[Tensor, " documents"]
    cluster: Int[Tensor, " documents"]
