"""What the YAML of a data set or a calibration set may say: frozen dataclasses, one field per key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from semprune.types import MOST, Amount, Count, PartOrNone, Range

FileFormat = Literal["arrow", "tsv", "csv", "lines", "folders"]


@dataclass(frozen=True, slots=True)
class HubSource:
    """Where the hub keeps the rows.

    Attributes:
        path: ``organisation/name``, a local folder, or ``json``, ``csv``, ``parquet`` with ``data_files``.
        split: Split that is evaluated; ``train+test`` joins two.
        config: Configuration of the hub data set.
        fit_split: Split for fitting, where the evaluated split reserves no documents for it.
        revision: Branch or commit; ``refs/convert/parquet`` where the hub has only a loading script.
        rename: Hub column -> the name that this registry uses.
        data_files: Path or pattern of the files, on the hub or local; relative to the working directory there.
    """

    path: str
    split: str
    config: str | None = None
    fit_split: str | None = None
    revision: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    data_files: str | None = None


@dataclass(frozen=True, slots=True)
class OfflineSource:
    """Where an offline package keeps the rows.

    Attributes:
        asset: Name of the asset.
        files: Path or glob pattern inside the asset's folder.
        format: ``arrow`` (stream files), ``tsv`` (header, no quoting), ``csv`` (header, quoted), ``lines`` (one row
            per line, columns are the named groups of ``pattern``), or ``folders`` (one text per file, its folder is
            its label; columns ``text``, ``label``, ``id``).
        encoding: Encoding of text files.
        encoding_exceptions: Path ending -> encoding, for single files that differ from the rest.
        rename: Column in the file -> the name that this registry uses.
        fit_files: Path or pattern of the split for fitting, where the evaluated one reserves no documents for it.
        header: Columns of a tsv or csv file that has no header line; what a row has beyond them is left out.
        pattern: Regular expression of a whole line, for ``lines``.
    """

    asset: str
    files: str
    format: FileFormat
    encoding: str = "utf-8"
    encoding_exceptions: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    fit_files: str | None = None
    header: tuple[str, ...] = ()
    pattern: str | None = None


Family = Literal["sentiment", "similarity", "reasoning", "topic"]


@dataclass(frozen=True, slots=True)
class LabelRule:
    """How a row says which choice is right; exactly one of ``values``, ``keys``, ``sign_minimum``, ``threshold``.

    Attributes:
        column: Column of the label.
        classes: Names of the classes, in the order of the choices; empty where choices are free text.
        values: The column's value for each choice; a list where several values mean the same choice.
        keys: Field of the row that lists the keys of the choices, e.g. ``choices[label]``.
        sign_minimum: The column is a rating: choice 0 where it is ≤ −minimum, choice 1 where it is
            ≥ minimum; rows in between are dropped.
        threshold: The column is a grade: choice 1 where it is ≥ threshold, else choice 0; no row is dropped, and
            metrics of rank (``spearman``) use the grade itself.
    """

    column: str
    classes: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    keys: str | None = None
    sign_minimum: Annotated[float, Range(-MOST)] | None = None
    threshold: Annotated[float, Range(-MOST)] | None = None


@dataclass(frozen=True, slots=True)
class DropRule:
    """Rows to leave out; exactly one of ``contains``, ``matches``, ``values``.

    Attributes:
        column: Column to look at, derived ones included.
        reason: Why; for the reader.
        contains: Text that damns the row.
        matches: Regular expression that, found anywhere in the text, damns the row.
        values: Values that damn the row.
    """

    column: str
    reason: str
    contains: str | None = None
    matches: str | None = None
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentRule:
    """Rows that belong together, for splitting and for clustered statistics.

    Attributes:
        column: Column that holds the identifier.
        before: The document is what stands before the first of these characters; the whole value where none is given.
    """

    column: str
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One way to ask; templates are ``str.format`` over the row's columns.

    Attributes:
        name: Short name; ``harness`` for the wording of EleutherAI's lm-evaluation-harness.
        context: Template of the context.
        choices: Templates of the continuations, the same number for each row.
        choices_from: Field that lists the choices, e.g. ``choices[text]``; each is preceded by a space.
        contexts: Templates of one context per choice, instead of ``context``, where the choice is inside it.
        description: Template of what stands before everything, few-shot examples included.
    """

    name: str
    context: str | None = None
    choices: tuple[str, ...] = ()
    choices_from: str | None = None
    contexts: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Number of examples, for lists; counted from the real package, or as the hub publishes it.

    Attributes:
        evaluated: Examples that are evaluated.
        reserved: Examples for fitting and calibration that the same source holds.
    """

    evaluated: Amount
    reserved: Amount = 0


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
        counts: Number of examples.
        non_commercial: Whether the licence forbids commercial use.
        hub: Source on the hub.
        offline: Source in an offline package.
        derive: New column -> Jinja expression over the columns and the derived ones before it; see
            :mod:`semprune.data.registry.derive`.
        id: Column that identifies a row; the row's number where there is none.
        document: How rows form documents; each row its own where there is none.
        drop: Rows to leave out.
        deduplicate: Keep the first of rows whose text differs only in case, punctuation or spacing.
        reserve: Share of documents reserved for fitting and calibration, never evaluated.
        shot_reserve: Where neither ``reserve`` nor the source offers rows for fitting: share of the documents that
            few-shot examples come from. Runs with examples do not evaluate them; runs without evaluate all rows.
        shots_within: Column whose value few-shot examples share with the item.
        exclude_overlap: Data sets with shared texts, this one's own other split included: documents of this set
            that share a text with any of their evaluated rows are never in this set's fit split.
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
    counts: Counts | None = None
    non_commercial: bool = False
    hub: HubSource | None = None
    offline: OfflineSource | None = None
    derive: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None
    document: DocumentRule | None = None
    drop: tuple[DropRule, ...] = ()
    deduplicate: bool = False
    reserve: PartOrNone = 0.0
    shot_reserve: PartOrNone = 0.1
    shots_within: str | None = None
    exclude_overlap: tuple[str, ...] = ()
    max_words: Mapping[str, Count] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextHubSource:
    """Where the hub keeps a calibration text: the first ``rows`` rows of one column, streamed.

    Your own text file: ``path: text``, ``data_files: FILE``, ``split: train``, ``column: text``; a line is a row.
    """

    path: str
    split: str
    column: str
    rows: Count
    config: str | None = None
    data_files: str | None = None


@dataclass(frozen=True, slots=True)
class TextFileSource:
    """Where an offline package keeps a calibration text."""

    asset: str
    file: str
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class CalibrationSpec:
    """One calibration set, as its YAML declares it: a text of its own, or made of something else.

    Attributes:
        name: Unique name, that of the file.
        about: One line for lists.
        licence: Licence, or that it is not stated.
        hub: Source on the hub.
        offline: Source in an offline package.
        strip: Regular expressions that are removed from the text.
        documents: Data sets whose reserved texts make the text.
        prompts: Data sets whose reserved examples make it, each as its first prompt with the right answer.
        made: ``random_tokens`` (drawn evenly from the vocabulary) or ``generated`` (written by the pruned model's dense
            self); None for a text.
    """

    name: str
    about: str
    licence: str
    hub: TextHubSource | None = None
    offline: TextFileSource | None = None
    strip: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    made: Literal["random_tokens", "generated"] | None = None
