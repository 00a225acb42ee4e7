"""What is brought to the hub and fetched from it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from semprune.errors.base import SempruneError, some_of


class NotShareableError(SempruneError):
    """A path that is nothing which can be pushed."""

    def __init__(self, path: Path, detail: str, remedy: str) -> None:
        """Name the path, what is wrong with it and what to do."""
        super().__init__(f"{path} cannot be pushed: {detail}. {remedy}")


class HubError(SempruneError):
    """What kept the hub from giving or taking a repository; says no more of the answer than its number."""


class HubOfflineError(HubError):
    """A request to the hub while all of them are switched off."""

    def __init__(self, repo: str) -> None:
        """Name the repository and the switch."""
        super().__init__(
            f"{repo}: HF_HUB_OFFLINE is set, so the hub is not asked. Unset it, then run the command again."
        )


class HubUnreachableError(HubError):
    """A hub that does not answer, or only with faults of its own."""

    def __init__(self, repo: str, endpoint: str, detail: str) -> None:
        """Name the repository, the hub's address and what happened."""
        super().__init__(
            f"{repo}: {endpoint} cannot be reached ({detail}). Check the network, a proxy's settings and HF_ENDPOINT, "
            "then run the command again: what was transferred is not transferred twice."
        )


class HubRightsError(HubError):
    """A request that the hub refuses to this user."""

    def __init__(self, repo: str, status: int) -> None:
        """Name the repository and what to do."""
        super().__init__(
            f"{repo}: the hub refuses this (answer {status}). Log in with `hf auth login`, or set HF_TOKEN, with a "
            "token that may do it; a gated repository also wants its terms accepted on its page."
        )


class HubMissingError(HubError):
    """A repository, or a revision of it, that the hub does not have, or does not show."""

    def __init__(self, repo: str, what: str) -> None:
        """Name it."""
        super().__init__(
            f"{repo}: the hub has no such {what}, or does not show it to you. Check the name; for a private one log in "
            "with `hf auth login`."
        )


class UnsafeRepositoryError(HubError):
    """A repository without a single safetensors file."""

    def __init__(self, repo: str, others: Iterable[str]) -> None:
        """Name the repository and what it has instead."""
        found = list(others)
        instead = f"it has {some_of(found)}, which may run code when they are read" if found else "it has no tensors"
        super().__init__(f"{repo}: there is no safetensors file ({instead}). Nothing was fetched.")
