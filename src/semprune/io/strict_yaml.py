"""YAML without keys that stand twice: of two values one would be dropped without a word."""

from __future__ import annotations

from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """Read YAML into plain values.

    Raises:
        yaml.YAMLError: If it is no YAML, or a mapping has a key twice; the message says in which line.

    Example:
        >>> read_yaml("{limit: 3, seeds: [0]}")
        {'limit': 3, 'seeds': [0]}
    """
    refuse_repeated_keys(text)
    return yaml.safe_load(text)


def refuse_repeated_keys(text: str) -> None:
    r"""Refuse a mapping that has a key twice, at any depth.

    Raises:
        yaml.YAMLError: If there is one, or the text is no YAML.

    Example:
        >>> refuse_repeated_keys("limit: 3\nlimit: 4")
        Traceback (most recent call last):
        ...
        yaml.constructor.ConstructorError: the key 'limit' stands twice
          in "<unicode string>", line 2, column 1:
            limit: 4
            ^
    """
    waiting, seen = [yaml.compose(text, Loader=yaml.SafeLoader)], set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))  # an alias is the node that it names: each is looked at once
        if isinstance(node, yaml.MappingNode):
            keys: set[tuple[str, object]] = set()
            for key, _ in node.value:
                name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else (key.tag, id(key))
                if name in keys:
                    raise yaml.constructor.ConstructorError(None, None, _twice(key), key.start_mark)
                keys.add(name)
            waiting += [child for pair in node.value for child in pair]
        else:
            waiting += node.value


def _twice(key: yaml.Node) -> str:
    return f"the key '{key.value}' stands twice"
