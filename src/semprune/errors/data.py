"""Data sets, calibration sets, prompts."""

from __future__ import annotations

from semprune.errors.base import ConfigurationError, SempruneError, UnknownNameError


class UnknownDatasetError(UnknownNameError):
    """No such data set in the registry."""

    kind = "data set"


class UnknownPromptError(UnknownNameError):
    """No such prompt in the data set's YAML."""

    kind = "prompt"


class UnknownCalibrationError(UnknownNameError):
    """No such calibration set."""

    kind = "calibration set"


class MixtureError(SempruneError):
    """A mixture of calibration sets that cannot be read, or cannot be drawn.

    Example:
        >>> raise MixtureError("c4*2+wiki", "'wiki' is not a name with a positive weight")
        Traceback (most recent call last):
        ...
        semprune.errors.MixtureError: calibration mixture 'c4*2+wiki': 'wiki' is not a name with a positive weight. \
Write it as c4*0.5+wiki*0.5: each set once, its share after it, shares that sum to 1.
    """

    def __init__(self, mixture: str, detail: str) -> None:
        """Name the mixture and what is wrong with it."""
        super().__init__(
            f"calibration mixture '{mixture}': {detail}. "
            "Write it as c4*0.5+wiki*0.5: each set once, its share after it, shares that sum to 1."
        )


class EmptyCalibrationError(SempruneError):
    """A calibration text with fewer tokens than the sequences that are asked of it."""

    def __init__(self, calibration: str, tokens: int, length: int, sequences: int = 1) -> None:
        """Name what is there and what the sequences need."""
        asked = f"one sequence of {length}" if sequences == 1 else f"{sequences} sequences of {length}"
        super().__init__(
            f"calibration set '{calibration}' has {tokens} tokens, fewer than {asked}. "
            "Pass a shorter length or fewer sequences, or take a longer text."
        )


class UnboundDataError(SempruneError):
    """A data module that does not know which model it serves.

    Example:
        >>> raise UnboundDataError("DocumentDataModule")
        Traceback (most recent call last):
        ...
        semprune.errors.UnboundDataError: DocumentDataModule does not know its model: call `datamodule.bind(lm)` \
before setup(), or use it with a Trainer and a module that holds its backbone as `lm` or `backbone`.
    """

    def __init__(self, datamodule: str) -> None:
        """Name the data module's class."""
        super().__init__(
            f"{datamodule} does not know its model: call `datamodule.bind(lm)` before setup(), "
            "or use it with a Trainer and a module that holds its backbone as `lm` or `backbone`."
        )


class DataContractError(ConfigurationError):
    """A data module of one's own that does not offer what a fit or a test reads of it.

    Example:
        >>> raise DataContractError("Plain", "has no classes", "a fit reads `datasets`, `classes` and `max_length`")
        Traceback (most recent call last):
        ...
        semprune.errors.DataContractError: data module Plain has no classes: a fit reads `datasets`, `classes` and \
`max_length`. Derive it from DocumentDataModule (for a test, from EvaluationDataModule), or offer what the how-to on \
data sets lists.
    """

    def __init__(self, owner: str, detail: str, needed: str) -> None:
        """Name the data module, what is wrong with it and what is needed."""
        super().__init__(
            f"data module {owner} {detail}: {needed}. Derive it from DocumentDataModule (for a test, from "
            "EvaluationDataModule), or offer what the how-to on data sets lists."
        )


RENAMED = {
    "calibration_sequences": "calibration.sequences",
    "calibration_length": "calibration.length",
    "document_limit": "documents.limit",
    "document_length": "documents.max_length",
    "document_batch_size": "documents.batch_size",
    "validation_share": "documents.validation_share",
}
"""Settings of an evaluation that have become settings of its parts."""


class RenamedSettingError(ConfigurationError):
    """A setting that has another name now.

    Example:
        >>> raise RenamedSettingError("EvaluationDataModule", "document_limit", "documents.limit")
        Traceback (most recent call last):
        ...
        semprune.errors.RenamedSettingError: EvaluationDataModule has no option 'document_limit' any more: it is \
'limit' of 'documents' now. Write `documents: {limit: …}`, or `--data.documents.limit` on a command line.
    """

    def __init__(self, owner: str, old: str, new: str) -> None:
        """Name the class, the name that was given, and the new one as ``part.setting``."""
        part, _, setting = new.partition(".")
        super().__init__(
            f"{owner} has no option '{old}' any more: it is '{setting}' of '{part}' now. "
            f"Write `{part}: {{{setting}: …}}`, or `--data.{new}` on a command line."
        )


class UnknownTemplateOptionError(UnknownNameError):
    """An option of a chat that the tokenizer's template never reads."""

    kind = "option of the chat template"
    remedy = " Correct `chat.options`."


class OpenThoughtError(ConfigurationError):
    """A chat template that begins the answer with a thought.

    Example:
        >>> raise OpenThoughtError("<think>")
        Traceback (most recent call last):
        ...
        semprune.errors.OpenThoughtError: the chat template begins the answer with '<think>', and inside of a thought \
no choice is an answer. Set `chat: {options: {enable_thinking: false}}` where the template has such an option, or \
`chat: {thought: close}` to score behind an empty thought.
    """

    def __init__(self, opening: str) -> None:
        """Name what opens the thought."""
        super().__init__(
            f"the chat template begins the answer with '{opening}', and inside of a thought no choice is an answer. "
            "Set `chat: {options: {enable_thinking: false}}` where the template has such an option, or "
            "`chat: {thought: close}` to score behind an empty thought."
        )


def _request(dataset: str | None, item: str) -> str:
    """What a request is called: an item of a data set, or one that Python code asked for."""
    return f"request {item}".rstrip() if dataset is None else f"data set '{dataset}', item '{item}'"


class PromptTooLongError(SempruneError):
    """A prompt, or a continuation alone, that does not fit the model's context.

    Example:
        >>> raise PromptTooLongError(None, "3", 70, 64, part="continuation")
        Traceback (most recent call last):
        ...
        semprune.errors.PromptTooLongError: request 3: the continuation has 70 tokens, the model's context is 64. \
Shorten it, or pass a larger `max_length` if the model reads more.
    """

    def __init__(self, dataset: str | None, item: str, tokens: int, max_length: int, part: str = "prompt") -> None:
        """Name the item (of no data set where Python code asked), its length and the limit."""
        remedy = "Set `max_words` for a text column in the data set's YAML"
        if dataset is None:
            remedy = "Shorten it, or pass a larger `max_length` if the model reads more"
        elif part == "prompt":  # a continuation is never cut
            remedy += ", or pass `truncate: left` to keep its end"
        super().__init__(
            f"{_request(dataset, item)}: the {part} has {tokens} tokens, the model's context is {max_length}. {remedy}."
        )


class NoOwnTokenError(ConfigurationError):
    """A continuation of which nothing can be scored: it is empty, or melts into the context's last token.

    Example:
        >>> raise NoOwnTokenError("toy", "7", "e")
        Traceback (most recent call last):
        ...
        semprune.errors.NoOwnTokenError: data set 'toy', item '7': the continuation 'e' has no tokens of its own. \
Give it text that does not melt into the context's last token, for example a leading space.
    """

    def __init__(self, dataset: str | None, item: str, continuation: str) -> None:
        """Name the item (of no data set where Python code asked) and the continuation."""
        super().__init__(
            f"{_request(dataset, item)}: the continuation {continuation!r} has no tokens of its own. "
            "Give it text that does not melt into the context's last token, for example a leading space."
        )


class TooManyLeftOutError(SempruneError):
    """More items of a data set without a token of their own than may be left out.

    Example:
        >>> raise TooManyLeftOutError("toy", "ask", 3, 9, 0.2, "data set 'toy', item '7': nothing is its own")
        Traceback (most recent call last):
        ...
        semprune.errors.TooManyLeftOutError: data set 'toy', prompt 'ask': 3 of 9 items cannot be scored, more than \
the 20 % that are left out. The first: data set 'toy', item '7': nothing is its own
    """

    def __init__(self, dataset: str, prompt: str, left_out: int, items: int, share: float, first: str) -> None:
        """Name data set and prompt, how many there are, how many may be, and what the first says."""
        super().__init__(
            f"data set '{dataset}', prompt '{prompt}': {left_out} of {items} items cannot be scored, more than the "
            f"{share:.0%} that are left out. The first: {first}".replace("%", " %", 1)
        )


class DatasetSchemaError(SempruneError):
    """A data set's rows or YAML that do not hold what they must."""

    def __init__(self, dataset: str, detail: str, remedy: str) -> None:
        """Name the data set, what is wrong and what to do."""
        super().__init__(f"data set '{dataset}': {detail}. {remedy}")


class DatasetUnavailableError(SempruneError):
    """A data set that neither the hub nor an offline package gave."""

    def __init__(self, dataset: str, detail: str, *, local: bool = False) -> None:
        """Name the data set and what was tried; what to do depends on whether its files are this machine's."""
        remedy = (
            "Are the files where its YAML says, in UTF-8 and of that format?"
            if local
            else "Check the network, or run `semprune assets get` for its offline package."
        )
        super().__init__(f"data set '{dataset}' could not be loaded: {detail}. {remedy}")
