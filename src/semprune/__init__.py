"""semprune: what pruning destroys in a language model, and in which neurons.

The public names are loaded when they are first used, so that ``import semprune`` and the report stay light.
"""

import os
from typing import TYPE_CHECKING

from semprune.lazy_names import lazy_names

# Tensors in pages of 2 MiB where Linux has them: a CPU otherwise maps each layer's in pages of 4 KiB, which took a
# fifth of a forward on a slow host. Torch reads it with its first tensor; set to 0 outside, it stays off.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from semprune.attribution import (
        Association,
        NeuronSemanticAttribution,
        causal_check,
        explain,
        load_association,
        mediate,
    )
    from semprune.backbones import Backbone, load_backbone
    from semprune.data import CalibrationDataModule, DocumentDataModule, EvaluationDataModule
    from semprune.evaluation import evaluate, loglikelihood, screen
    from semprune.pruning import Protection, PruneReport, load_masks, merge_adapters, prune_model
    from semprune.pruning.callbacks.methods import HoldMasks, PruningCallback
    from semprune.pruning.card import write_card
    from semprune.sharing import pull, push

    Magnitude: type[PruningCallback]  # made of the methods that are found
    RIA: type[PruningCallback]
    SparseGPT: type[PruningCallback]
    Wanda: type[PruningCallback]
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Association": "semprune.attribution",
            "Backbone": "semprune.backbones",
            "CalibrationDataModule": "semprune.data",
            "DocumentDataModule": "semprune.data",
            "EvaluationDataModule": "semprune.data",
            "HoldMasks": "semprune.pruning.callbacks.methods",
            "Magnitude": "semprune.pruning.callbacks.methods",
            "NeuronSemanticAttribution": "semprune.attribution",
            "Protection": "semprune.pruning",
            "PruneReport": "semprune.pruning",
            "RIA": "semprune.pruning.callbacks.methods",
            "SparseGPT": "semprune.pruning.callbacks.methods",
            "Wanda": "semprune.pruning.callbacks.methods",
            "causal_check": "semprune.attribution",
            "evaluate": "semprune.evaluation",
            "explain": "semprune.attribution",
            "load_association": "semprune.attribution",
            "load_backbone": "semprune.backbones",
            "load_masks": "semprune.pruning",
            "loglikelihood": "semprune.evaluation",
            "mediate": "semprune.attribution",
            "merge_adapters": "semprune.pruning",
            "prune_model": "semprune.pruning",
            "pull": "semprune.sharing",
            "push": "semprune.sharing",
            "screen": "semprune.evaluation",
            "write_card": "semprune.pruning.card",
        },
    )

__all__ = [
    "RIA",
    "Association",
    "Backbone",
    "CalibrationDataModule",
    "DocumentDataModule",
    "EvaluationDataModule",
    "HoldMasks",
    "Magnitude",
    "NeuronSemanticAttribution",
    "Protection",
    "PruneReport",
    "SparseGPT",
    "Wanda",
    "causal_check",
    "evaluate",
    "explain",
    "load_association",
    "load_backbone",
    "load_masks",
    "loglikelihood",
    "mediate",
    "merge_adapters",
    "prune_model",
    "pull",
    "push",
    "screen",
    "write_card",
]


def __dir__() -> list[str]:
    return sorted([*__all__, "__doc__", "__file__", "__name__", "__path__"])
