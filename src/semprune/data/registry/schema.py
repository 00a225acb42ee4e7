"""What a data set's YAML may say: frozen dataclasses, one field per key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Family = Literal["sentiment", "similarity", "reasoning", "topic"]
FileFormat = Literal["arrow", "tsv", "csv", "folders"]


@dataclass(frozen=True, slots=True)
class HubSource:
    """Where the hub keeps the rows.

    Attributes:
        path: ``organisation/name``.
        split: Split that is evaluated; ``train+test`` joins two.
        config: Configuration of the hub data set.
        fit_split: Split for fitting, where the evaluated split reserves no documents for it.
        revision: Branch or commit; ``refs/convert/parquet`` where the hub has only a loading script.
        rename: Hub column -> the name that this registry uses.
    """

    path: str
    split: str
    config: str | None = None
    fit_split: str | None = None
    revision: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfflineSource:
    """Where an offline package keeps the rows.

    Attributes:
        asset: Name of the asset.
        files: Path or glob pattern inside the asset's folder.
        format: ``arrow`` (stream files), ``tsv`` (header, no quoting), ``csv`` (header, quoted), or
            ``folders`` (one text per file, its folder is its label; columns ``text``, ``label``, ``id``).
        encoding: Encoding of text files.
        encoding_exceptions: Path ending -> encoding, for single files that differ from the rest.
        rename: Column in the file -> the name that this registry uses.
    """

    asset: str
    files: str
    format: FileFormat
    encoding: str = "utf-8"
    encoding_exceptions: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabelRule:
    """How a row says which choice is right; exactly one of ``values``, ``keys``, ``sign_minimum``.

    Attributes:
        column: Column of the label.
        classes: Names of the classes, in the order of the choices; empty where choices are free text.
        values: The column's value for each choice; a list where several values mean the same choice.
        keys: Field of the row that lists the keys of the choices, e.g. ``choices[label]``.
        sign_minimum: The column is a rating: choice 0 where it is ≤ −minimum, choice 1 where it is
            ≥ minimum; rows in between are dropped.
    """

    column: str
    classes: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    keys: str | None = None
    sign_minimum: float | None = None


@dataclass(frozen=True, slots=True)
class DropRule:
    """Rows to leave out.

    Attributes:
        column: Column to look at.
        contains: Text that damns the row.
        reason: Why; for the reader.
    """

    column: str
    contains: str
    reason: str


@dataclass(frozen=True, slots=True)
class DocumentRule:
    """Rows that belong together, for splitting and for clustered statistics.

    Attributes:
        column: Column that holds the identifier.
        before: The document is what stands before the first of these characters.
    """

    column: str
    before: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One way to ask; templates are ``str.format`` over the row's columns.

    Attributes:
        name: Short name; ``harness`` for the wording of EleutherAI's lm-evaluation-harness.
        context: Template of the context.
        choices: Templates of the continuations, the same number for each row.
        choices_from: Field that lists the choices, e.g. ``choices[text]``; each is preceded by a space.
    """

    name: str
    context: str
    choices: tuple[str, ...] = ()
    choices_from: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """One data set, as its YAML declares it.

    Attributes:
        name: Unique name, that of the file.
        family: ``sentiment``, ``similarity``, ``reasoning`` or ``topic``.
        about: One line for lists.
        licence: Licence, or that it is not stated.
        columns: All columns that are used, after renaming.
        text: The text columns, in order; joined by a line break they are the document.
        labels: How a row says which choice is right.
        prompts: At least one; the first is the default.
        metrics: Names of metrics; the first is the headline.
        hub: Source on the hub.
        offline: Source in an offline package.
        id: Column that identifies a row; the row's number where there is none.
        document: How rows form documents; each row its own where there is none.
        drop: Rows to leave out.
        deduplicate: Keep the first of rows whose text differs only in case, punctuation or spacing.
        reserve: Share of documents reserved for fitting and calibration, never evaluated.
        exclude_overlap: Data sets with shared texts: documents of this set that share a text with any of
            their rows are never in this set's fit split.
        max_words: Text column -> number of words that prompts keep of it.
    """

    name: str
    family: Family
    about: str
    licence: str
    columns: tuple[str, ...]
    text: tuple[str, ...]
    labels: LabelRule
    prompts: tuple[Prompt, ...]
    metrics: tuple[str, ...]
    hub: HubSource | None = None
    offline: OfflineSource | None = None
    id: str | None = None
    document: DocumentRule | None = None
    drop: tuple[DropRule, ...] = ()
    deduplicate: bool = False
    reserve: float = 0.0
    exclude_overlap: tuple[str, ...] = ()
    max_words: Mapping[str, int] = field(default_factory=dict)
