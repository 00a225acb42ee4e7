"""YAML that others wrote: read as plain values, within bounds, and without a key that stands twice.

Of two values of one key one would be dropped without a word. And an alias may stand for much: nine lines of ten
aliases each are a thousand million values, and whoever walks over them never comes back. So what a text stands for is
counted before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import yaml

MOST_CHARACTERS: Final = 8_000_000
"""Of a text; a concept of 50,000 words has 600,000."""
MOST_REPEATED: Final = 100_000
"""Characters that aliases may add to what is written."""


class BoundedLoader(yaml.SafeLoader):
    """YAML's safe loader, with bounds on what a text stands for and keys that stand once."""

    def get_single_node(self) -> yaml.Node | None:
        """Compose the document, and count it.

        Raises:
            YAMLError: See :func:`bounded`.
        """
        return bounded(super().get_single_node)


def read_yaml(text: str) -> Any:
    """Read YAML as plain values.

    Raises:
        YAMLError: It is not YAML, stands for too much, or has a key twice; the message says in which line.

    Example:
        >>> read_yaml("{a: &x [1, 2], b: *x}")
        {'a': [1, 2], 'b': [1, 2]}
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"it has {len(text):,} characters, more than {MOST_CHARACTERS:,}")
    return yaml.load(text, Loader=BoundedLoader)  # the safe loader's kind


def bounded(compose: Any) -> yaml.Node | None:
    r"""Return the node that a loader composes, if it is small enough.

    Args:
        compose: The loader's own ``get_single_node``.

    Raises:
        YAMLError: It is too deep, contains itself, its aliases stand for too much, or a key stands twice.

    Example:
        >>> read_yaml("limit: 3\nlimit: 4")
        Traceback (most recent call last):
        ...
        yaml.constructor.ConstructorError: the key 'limit' stands twice
          in "<unicode string>", line 2, column 1:
            limit: 4
            ^
    """
    try:
        node: yaml.Node | None = compose()
        written: list[int] = []
        if node is not None and _size(node, {}, written) > sum(written) + MOST_REPEATED:
            raise yaml.YAMLError(f"its aliases stand for more than {MOST_REPEATED:,} characters")
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    return node


def _size(node: yaml.Node, known: dict[int, int], written: list[int]) -> int:
    """Characters and values that a node stands for, aliases written out; ``written`` gets those that are there once."""
    if id(node) in known:
        if known[id(node)] < 0:
            raise yaml.YAMLError("an alias contains itself")
        return known[id(node)]
    known[id(node)] = -1  # while it is counted
    if isinstance(node, yaml.MappingNode):
        _refuse_repeated(key for key, _ in node.value)
    own = 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
    parts = [] if isinstance(node, yaml.ScalarNode) else node.value
    written.append(own)
    for part in parts:
        pair = part if isinstance(part, tuple) else (part,)
        own += sum(_size(each, known, written) for each in pair)
    known[id(node)] = own
    return own


def _refuse_repeated(keys: Iterable[yaml.Node]) -> None:
    seen: set[tuple[str, object]] = set()
    for key in keys:
        name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else (key.tag, id(key))
        if name in seen:
            said = f"the key '{key.value}' stands twice"
            raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
        seen.add(name)
