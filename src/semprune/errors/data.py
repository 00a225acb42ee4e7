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


class PromptTooLongError(SempruneError):
    """A prompt that does not fit the model's context."""

    def __init__(self, dataset: str, item: str, tokens: int, max_length: int) -> None:
        """Name the item, its length and the limit."""
        super().__init__(
            f"data set '{dataset}', item '{item}': the prompt has {tokens} tokens, "
            f"the model's context is {max_length}. "
            "Set `max_words` for a text column in the data set's YAML, or pass `truncate: left` to keep its end."
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
