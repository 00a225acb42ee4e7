"""Where downloaded models and data live."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from semprune.errors import SettingError

CACHE_VARIABLE = "SEMPRUNE_CACHE"


def cache_folder() -> Path:
    """Return the folder of everything that can be fetched or computed again.

    ``SEMPRUNE_CACHE`` where it is set, else the platform's user cache (``~/.cache/semprune`` on Linux).
    The folder is not created.

    Example:
        >>> import os
        >>> os.environ["SEMPRUNE_CACHE"] = "/tmp/elsewhere"
        >>> cache_folder().as_posix()
        '/tmp/elsewhere'
        >>> del os.environ["SEMPRUNE_CACHE"]
    """
    override = os.environ.get(CACHE_VARIABLE, "")
    if override:
        return Path(override).expanduser().absolute()
    return Path(platformdirs.user_cache_path("semprune"))


def writable_folder(folder: Path) -> Path:
    """Create a folder inside the cache, with its parents.

    Args:
        folder: The folder to create; one that exists is left as it is.

    Returns:
        The same folder.

    Raises:
        SettingError: The folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(CACHE_VARIABLE, str(cache_folder()), "a folder that can be written") from error
    if not os.access(folder, os.W_OK):
        raise SettingError(CACHE_VARIABLE, str(cache_folder()), "a folder that can be written")
    return folder
