"""semprune: what pruning destroys in a language model, and in which neurons.

The public names are loaded when they are first used, so that ``import semprune`` and the report stay light.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Tensors in pages of 2 MiB where Linux has them: a CPU otherwise maps each layer's in pages of 4 KiB, which took a
# fifth of a forward on a slow host. Torch reads it with its first tensor; set to 0 outside, it stays off.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from semprune.attribution.association.association import Association, load_association
    from semprune.backbones import Backbone, load_backbone
    from semprune.evaluation import evaluate, loglikelihood
    from semprune.pruning import PruneReport, prune_model

_HOMES = {
    "Association": "semprune.attribution.association.association",
    "Backbone": "semprune.backbones",
    "PruneReport": "semprune.pruning",
    "evaluate": "semprune.evaluation",
    "load_association": "semprune.attribution.association.association",
    "load_backbone": "semprune.backbones",
    "loglikelihood": "semprune.evaluation",
    "prune_model": "semprune.pruning",
}

__all__ = [
    "Association",
    "Backbone",
    "PruneReport",
    "evaluate",
    "load_association",
    "load_backbone",
    "loglikelihood",
    "prune_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'semprune' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
