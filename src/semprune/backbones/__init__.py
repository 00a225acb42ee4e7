"""Frozen language models: how to load them, where their neurons and matrices are, how to see and hold neurons."""

from semprune.backbones.ablate import Patch, Replacement, ablate, patch
from semprune.backbones.backbone import Backbone, describe
from semprune.backbones.capture import capture
from semprune.backbones.family import GATED_MLP, SEPARATE_ATTENTION, Family, FamilyMatrix
from semprune.backbones.layout import neuron_sites
from semprune.backbones.loading.load import load_backbone
from semprune.backbones.weights.fingerprint import fingerprint_model

__all__ = [
    "GATED_MLP",
    "SEPARATE_ATTENTION",
    "Backbone",
    "Family",
    "FamilyMatrix",
    "Patch",
    "Replacement",
    "ablate",
    "capture",
    "describe",
    "fingerprint_model",
    "load_backbone",
    "neuron_sites",
    "patch",
]
