"""Model families: one file each, found by being here; a file defines ``FAMILY``."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from semprune.backbones.family import Family
from semprune.errors import UnknownArchitectureError


@functools.cache
def families() -> tuple[Family, ...]:
    """Return every family in this folder, in the order of their names.

    Example:
        >>> [family.name for family in families()][:2]
        ['bloom', 'cohere']
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}").FAMILY for name in names)


def find_family(architecture: str) -> Family:
    """Return the family of an architecture.

    Args:
        architecture: Hugging Face class name, for example ``LlamaForCausalLM``.

    Raises:
        UnknownArchitectureError: No family declares it.

    Example:
        >>> find_family("Qwen3ForCausalLM").name
        'llama'
    """
    known = {name: family for family in families() for name in family.architectures}
    if architecture not in known:
        raise UnknownArchitectureError(architecture, known)
    return known[architecture]
