"""What a section of the page is: a name in the navigation, a template, and what the template shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from semprune.report.run.load_run import RunArtefacts

View = Callable[[RunArtefacts, RunArtefacts], dict[str, Any] | None]
"""From a run, and its means per method and amount where it is crowded (else itself): the template's variables."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section.

    Attributes:
        name: Its id on the page, and the name of its template.
        title: In the navigation.
        view: What the template shows; None for a run that has nothing to show here.
        folder: Where the template is, beside the code that fills it.
    """

    name: str
    title: str
    view: View
    folder: str = "sections"

    @property
    def template(self) -> str:
        """Path of its template in this room."""
        return f"{self.folder}/{self.name}.html.j2"
