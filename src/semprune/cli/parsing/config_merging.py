"""Whose settings a class has where one configuration follows another: its own, not those of what it replaces.

jsonargparse lets a class that takes another one's place keep whichever settings both know, and an entry of a list those
of the entry that stood there. A run would then silently read the data, or prune as, the configuration before says.
"""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace, _typehints


def _begin_anew(parser: Any, before: Any, value: Any) -> None:
    """Drop the settings of the class that was there; loggers keep theirs, which say where to write."""
    if not before or "init_args" not in before or before["class_path"] == value["class_path"]:
        return
    if not value["class_path"].endswith("Logger"):
        before["init_args"] = Namespace()  # type: ignore[no-untyped-call]  # jsonargparse's
    else:
        _keep_common(parser, before, value)  # type: ignore[no-untyped-call]  # as above


_keep_common = _typehints.discard_init_args_on_class_path_change
# jsonargparse offers no setting for it
_typehints.discard_init_args_on_class_path_change = _begin_anew


def without_former_list(value: Any, key: str, config: Namespace) -> Namespace:
    """Return a configuration without a list of classes that another one is about to replace.

    Args:
        value: What is about to be set.
        key: Where.
        config: What was set before.
    """
    given = isinstance(value, list) and any(isinstance(each, dict | Namespace) for each in value)
    if not given or not isinstance(config.get(key), list):
        return config
    config = config.clone()
    config.pop(key)
    return config
