"""Measurements by what they depend on: one JSON line each, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def address(what: str, settings: Mapping[str, object]) -> str:
    """Name of a measurement: what it is, and a hash of what it depends on.

    Example:
        >>> address("fit", {"seed": 0, "limit": 3}) == address("fit", {"limit": 3, "seed": 0})
        True
    """
    content = json.dumps([what, settings], sort_keys=True)
    return f"{what}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


class Store:
    """Lines of a file; what a kill left unfinished is dropped when it is opened."""

    def __init__(self, path: Path) -> None:
        """Read what is there."""
        self.path = path
        self.values: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            return
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        for line in whole.splitlines():
            entry = json.loads(line)
            self.values[entry["address"]] = entry["value"]
        if whole != text:
            path.write_text(whole, encoding="utf-8")

    def forget(self, what: str, settings: Mapping[str, object]) -> None:
        """Have the measurement made again when it is next asked for."""
        self.values.pop(address(what, settings), None)

    def find_or_make(self, what: str, settings: Mapping[str, object], make: Callable[[], Any]) -> Any:
        """The measurement if it is there, else ``make()``, which is kept."""
        name = address(what, settings)
        if name not in self.values:
            value = make()
            entry = {"address": name, "settings": dict(settings), "value": value}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, sort_keys=True) + "\n")
                file.flush()
                os.fsync(file.fileno())
            self.values[name] = value
        return self.values[name]
