"""The hub as an errors' source: what it and the network refuse, in words that carry no token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from semprune.errors import (
    HubError,
    HubMissingError,
    HubOfflineError,
    HubRightsError,
    HubUnreachableError,
    SettingError,
)

NETWORK: type[Exception] = HfHubHTTPError.__mro__[1]
"""Every error of the HTTP library, which is another one from version to version of huggingface_hub."""

SAFE = ("*.safetensors", "*.json", "*.txt", "*.jinja", "*.model", "*.tiktoken", "README.md", "LICENSE*", "NOTICE*")
"""Files that are pushed and pulled: tensors, plain text, vocabularies; nothing pickled and no code."""


@contextmanager
def asking(repo: str, revision: str | None = None) -> Iterator[None]:
    """Turn what the hub or the network answers into errors that say what to do.

    What is said is composed here: texts of libraries and answers may repeat what a request carried.

    Args:
        repo: Name of the repository.
        revision: Branch, tag or commit that is asked for.

    Raises:
        SettingError: The name is none that a repository can have.
        HubError: Of the kind of what is wrong.
    """
    try:
        yield
    except HFValidationError:
        raise SettingError("repo", repo, "organisation/name, as the hub spells it") from None
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, NETWORK, OSError, RuntimeError) as error:
        # what ends an upload of a large file is wrapped
        found = _meant(error.__cause__ or error if isinstance(error, RuntimeError) else error, repo, revision)
        if found is None:
            raise
        raise found from None


def _meant(error: BaseException, repo: str, revision: str | None) -> HubError | None:
    if isinstance(error, OfflineModeIsEnabled):
        return HubOfflineError(repo)
    if isinstance(error, RevisionNotFoundError):
        return HubMissingError(repo, f"revision {revision!r}")
    if isinstance(error, RepositoryNotFoundError) and not isinstance(error, GatedRepoError):
        return HubMissingError(repo, "repository")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return HubRightsError(repo, status)
        return HubUnreachableError(repo, constants.ENDPOINT, f"it answers {status}")
    if isinstance(error, NETWORK | LocalEntryNotFoundError | ConnectionError):
        return HubUnreachableError(repo, constants.ENDPOINT, type(error).__name__)
    return None  # this machine's own: a full disk, no permission
