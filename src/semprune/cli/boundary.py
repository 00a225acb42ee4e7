"""Between commands and the terminal: whatever ends a command early is one line there, its traceback in a log file."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from semprune.errors import SempruneError, TrainerRefusedError
from semprune.errors.base import first_line
from semprune.errors.machine import typed
from semprune.io.terminal import Terminal, tolerate_any_text

FAULT, REFUSED, INTERRUPTED = 1, 2, 130
RESUMED = {
    "prune": "The same command goes on after the last finished block.",
    "study": "The same command goes on where it was.",
    "fit": "With --ckpt_path and its last checkpoint it goes on.",
}
"""What the next run takes up; that of other commands starts anew."""


def guarded(command: str, run: Callable[[], object]) -> int:
    """Run a command and return its exit status; an exception is one line on the standard error.

    What semprune refuses itself says everything in its message. What a library or the system refuses is told in the
    same form, and its traceback is kept in a log file; so is a fault of semprune's.

    Args:
        command: Its name.
        run: Runs it.
    """
    tolerate_any_text()
    with _threads_in_one_line():
        return _guarded(command, run)


def _guarded(command: str, run: Callable[[], object]) -> int:
    try:
        run()
        sys.stdout.flush()  # a full disk under a redirected output shows here
    except SempruneError as error:
        return _say(f"{type(error).__name__}: {error}", REFUSED)
    except KeyboardInterrupt:
        return _interrupted(command)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning's way out
            return _interrupted(command)
        raise
    except Exception as error:
        return _unexpected(error)
    return 0


@contextmanager
def _threads_in_one_line() -> Iterator[None]:
    """The same for what ends a library's thread, such as TensorBoard's writer on a full disk.

    Log lines that the disk refuses are lost; by default they are tracebacks.
    """

    def say(ended: threading.ExceptHookArgs) -> None:
        if isinstance(ended.exc_value, Exception):
            log = _log(ended.exc_value)
            kept = "" if log is None else f" The traceback is in {log}."
            _say(f"a thread in the background ended early: {first_line(ended.exc_value)}.{kept}", REFUSED)

    before, threading.excepthook = threading.excepthook, say
    raising, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        threading.excepthook = before
        logging.raiseExceptions = raising


def _interrupted(command: str) -> int:
    if os.environ.get("LOCAL_RANK", "0") != "0":  # one process speaks for all
        return INTERRUPTED
    after = RESUMED.get(command, "The same command starts anew.")
    return _say(f"interrupted. {after}", INTERRUPTED)


def _unexpected(error: Exception) -> int:
    log = _log(error)
    kept = "" if log is None else f" The traceback is in {log}"
    foreseen = _refusal_of_lightning(error) or typed(error)
    if foreseen is not None:
        return _say(f"{type(foreseen).__name__}: {foreseen}{kept and f'{kept}.'}", REFUSED)
    what = f"{type(error).__name__}: {first_line(error)}"
    return _say(f"this is a fault of semprune, not of your input: {what}.{kept}; please report it with that.", FAULT)


def _refusal_of_lightning(error: Exception) -> SempruneError | None:
    """What a value means to a user that Lightning, or the parser that it brings, refused by itself.

    It raises its own class, and built-in ones too: what counts is where they are raised.
    """
    own = type(error).__name__ == "MisconfigurationException"
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    place = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    builtin = isinstance(error, ValueError | TypeError) and place in ("lightning", "jsonargparse")
    return TrainerRefusedError(error) if own or builtin else None


def _say(text: str, status: int) -> int:
    Terminal(stderr=True).print(" ".join(text.split()), soft_wrap=True)
    return status


def _log(error: Exception) -> Path | None:
    """Write the traceback into the cache, or into the system's folder of temporary files; None where neither can be."""
    now = datetime.now(UTC)
    name = f"semprune-{now:%Y%m%d-%H%M%S}-{os.getpid()}.log"
    lines = [f"{now.isoformat()} {sys.argv!r}\n\n", *traceback.format_exception(error)]
    text = "".join(lines).encode("utf-8", "backslashreplace")
    from semprune.assets.cache import cache_folder  # loads pandas, which `--help` does not need

    for folder in (cache_folder() / "logs", Path(tempfile.gettempdir())):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_bytes(text)
            return path
    return None
