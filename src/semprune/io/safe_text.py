"""Text that others wrote (names, labels, contexts), made harmless for what shows it: one function for each reader.

Pages are escaped by their templates; LaTeX has its table of signs beside its writer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

# Control characters but line feed and tab, and the marks that reverse the order in which text is shown.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_HTML: Final = re.compile(r"<(?=[A-Za-z/!?])|&(?=#?\w+;)")
_MARKDOWN: Final = {"<": "&lt;", "&": "&amp;"}


def printable(text: str) -> str:
    r"""Text for a terminal: escape sequences and other control characters are written out instead of obeyed.

    Example:
        >>> print(printable("a\x1b[31mb\u202ec"))
        a\x1b[31mb\u202ec
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def spreadsheet(table: pd.DataFrame) -> pd.DataFrame:
    """A table for spreadsheet programs: no text begins like a formula; numbers, and texts that are numbers, stay.

    Source: OWASP, CSV injection: an apostrophe before what begins with ``= + - @``, tab or a line's end. A
    carriage return, which may begin another cell, is written out like other control characters.

    Example:
        >>> import pandas as pd
        >>> found = spreadsheet(pd.DataFrame({"name": ["=1+1", "c4", "-0.5"], "drop": [-0.5, 0.0, 1.0]}))
        >>> found["name"].tolist(), found["drop"].tolist()
        (["'=1+1", 'c4', '-0.5'], [-0.5, 0.0, 1.0])
    """
    from pandas.api.types import is_numeric_dtype  # a third of a second, which `--help` does not spend

    shown = table.rename(columns=_no_formula)
    for place, column in enumerate(shown.columns):
        values = shown.iloc[:, place]
        if not is_numeric_dtype(values):
            shown = shown.assign(**{str(column): values.map(_no_formula)})
    return shown


def markdown_cell(text: str) -> str:
    r"""Text for a cell of a Markdown table: one line, no bar, no HTML, no link.

    Example:
        >>> print(markdown_cell("x|y\n<b>z</b> p < 0.05 [a](http://b)"))
        x&#124;y &lt;b>z&lt;/b> p < 0.05 [a]\(http://b)
    """
    safe = _HTML.sub(lambda found: _MARKDOWN[found[0]], printable(text))
    return " ".join(safe.replace("|", "&#124;").replace("](", "]\\(").split("\n"))


def _no_formula(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        float(value)
    except ValueError:
        safe = printable(value)
        return f"'{safe}" if safe.startswith(_FORMULA) else safe
    return value


def short_name(name: str) -> str:
    """A model's name where it is shown to others: of a folder its own name, without where it lies.

    Example:
        >>> short_name("/home/me/models/mine"), short_name("runs/pruned/wanda/"), short_name("meta-llama/Llama-3.2-1B")
        ('mine', 'wanda', 'meta-llama/Llama-3.2-1B')
    """
    parts = name.replace("\\", "/").rstrip("/").split("/")
    return name if len(parts) == 2 and parts[0] not in ("", ".", "..", "~") else parts[-1]
