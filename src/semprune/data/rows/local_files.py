"""Files of one's own that ``datasets`` reads, and a cache for them that an edited file does not meet."""

from __future__ import annotations

import glob
import hashlib
from pathlib import Path

from semprune.assets import cache_folder
from semprune.data.registry import HubSource, TextHubSource


def local_files(source: HubSource | TextHubSource) -> list[Path]:
    """Files on this machine that a source names, sorted; none where it is on the hub or elsewhere.

    Example:
        >>> local_files(HubSource("organisation/name", "test", data_files="test.jsonl"))
        []
    """
    folder, pattern = Path(source.path), source.data_files
    if folder.is_dir():
        return sorted(path for path in folder.glob(pattern or "**/*") if path.is_file())
    if "/" in source.path or pattern is None or "://" in pattern:
        return []
    return sorted(path for path in map(Path, glob.glob(pattern, recursive=True)) if path.is_file())


def rows_cache(source: HubSource) -> str | None:
    """Folder for what ``datasets`` makes of local files, named by their content; None for its own cache.

    Its own cache tells local files by their time of modification, and gives the rows of before where an edit kept that.
    """
    files = local_files(source)
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return str(cache_folder() / "rows" / digest.hexdigest()[:16])
