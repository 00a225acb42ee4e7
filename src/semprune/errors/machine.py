"""What the system, its memory and libraries refuse: foreseen here once, for every command."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from semprune.errors.base import ConfigurationError, SempruneError, UnknownNameError, first_line, what_it_says

_FULL = "Free some space, then run the same command again"
_CLOSED = "Make it readable and its folder writable for you, or pass another path"
REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: f"{_FULL}, on a file system and with limits that allow files of this size",
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: "Pass a path on a file system that is not read-only",
    errno.ENOENT: "Check the path",
    errno.ENOTDIR: "A file stands where a folder is expected: pass another path, or move the file away",
    errno.EEXIST: "A file stands where a folder is expected: pass another path, or move the file away",
    errno.EISDIR: "A folder stands where a file is expected: pass another path",
    errno.ENAMETOOLONG: "Pass a shorter path or name",
    errno.ELOOP: "The path leads through links in a circle: pass another one",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n`)",
    errno.ENOMEM: "Free some memory, or take smaller batches or a smaller dtype",
}
"""What to do, by what the system says."""


class FileAccessError(SempruneError):
    """A file or folder that the system did not let be made, read or written.

    Example:
        >>> raise FileAccessError(NotADirectoryError(20, "Not a directory", "notes.txt/run"))
        Traceback (most recent call last):
        ...
        semprune.errors.FileAccessError: notes.txt/run: Not a directory. A file stands where a folder is expected: \
pass another path, or move the file away.
    """

    def __init__(self, error: OSError, path: object = None) -> None:
        """Name the path (that of the error, or the one given), what the system said and what to do."""
        place = path if error.filename is None else error.filename
        said = (error.strerror or first_line(error)).rstrip(".")
        remedy = REMEDIES.get(error.errno or 0, "Check the path, its file system and your permissions on it")
        where = "" if place is None else f"{shortened(str(place))}: "
        super().__init__(f"{where}{said}. {remedy}.")


class ReadOnlyStoreError(SempruneError):
    """Work to be done in a store that can only be read."""

    def __init__(self, folder: object, detail: str) -> None:
        """Name the folder and what the system said."""
        super().__init__(
            f"the store can only be read ({folder}: {detail}), and it does not hold everything that is asked for. "
            "Pass a --store of your own, or make it writable."
        )


class NotUnicodeError(SempruneError):
    """Text in another encoding than the one that is read or written."""

    def __init__(self, error: UnicodeError, path: object = None) -> None:
        """Name the file where it is known, and what could not be read."""
        where = "text" if path is None else str(path)
        super().__init__(f"{where} is not UTF-8 ({first_line(error)}). Save it as UTF-8 (`iconv -t utf-8`).")


class MemoryExhaustedError(SempruneError):
    """Memory that ran out."""

    def __init__(self, error: BaseException) -> None:
        """Say what the library said."""
        super().__init__(
            f"memory ran out ({first_line(error)}). Take a smaller batch size, length or dtype, or a larger machine."
        )


class TrainerRefusedError(ConfigurationError):
    """A configuration that Lightning itself refuses."""

    def __init__(self, error: BaseException) -> None:
        """Say what Lightning said."""
        super().__init__(
            f"Lightning refuses this configuration: {what_it_says(error)}. Correct --trainer, or what it names."
        )


class MissingPackageError(ConfigurationError):
    """A package that something optional needs, such as a logger, and that is not installed.

    Example:
        >>> raise MissingPackageError("Requirement 'wandb>=0.12.10' not met")
        Traceback (most recent call last):
        ...
        semprune.errors.MissingPackageError: Requirement 'wandb>=0.12.10' not met. Install that package into this \
environment, or choose something else, e.g. TensorBoardLogger.
    """

    def __init__(self, said: str) -> None:
        """Say what is missing."""
        super().__init__(
            f"{said}. Install that package into this environment, or choose something else, e.g. TensorBoardLogger."
        )


class UnknownCommandError(UnknownNameError):
    """No such command."""

    kind = "command"
    remedy = " `semprune --help` says what each does."

    def __init__(self, got: str, known: Iterable[str]) -> None:
        """Compose the message."""
        super().__init__(got, known)


class UnknownConfigurationError(UnknownNameError):
    """Neither a file nor one of the configurations that come with the package."""

    kind = "configuration"
    remedy = " Or pass the path of a YAML file that exists."

    def __init__(self, got: str, known: Iterable[str]) -> None:
        """Compose the message."""
        super().__init__(got, known)


def shortened(text: str, most: int = 200) -> str:
    """Return a text with its middle left out where it is too long for a line.

    Example:
        >>> shortened("a" * 300, 10)
        'aaaaa…aaaaa'
    """
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2) :]}"


def typed(error: BaseException) -> SempruneError | None:
    """Return what an error of the system, its memory or its encodings means to a user; None where it may be a fault.

    Example:
        >>> type(typed(OSError(28, "No space left on device"))).__name__
        'FileAccessError'
        >>> typed(KeyError("x")) is None
        True
    """
    if isinstance(error, SempruneError):
        return error
    if isinstance(error, UnicodeError):
        return NotUnicodeError(error)
    if isinstance(error, MemoryError) or _is_allocation(error):
        return MemoryExhaustedError(error)
    if isinstance(error, OSError):
        return FileAccessError(error)
    return None


def _is_allocation(error: BaseException) -> bool:
    """Whether it is torch's: its CPU allocator has no class of its own."""
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
