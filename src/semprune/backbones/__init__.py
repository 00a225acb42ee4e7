"""Frozen language models: how to load them, where their neurons and matrices are, how to see and hold neurons."""

from semprune.backbones.ablate import Replacement, ablate
from semprune.backbones.backbone import Backbone, describe
from semprune.backbones.capture import capture
from semprune.backbones.families import families, find_family
from semprune.backbones.family import GATED_MLP, SEPARATE_ATTENTION, Family, FamilyMatrix
from semprune.backbones.layout import decoder_layers, family_of, neuron_sites, prunable_matrices
from semprune.backbones.loading.embedded import embedded_backbones
from semprune.backbones.loading.load import load_backbone
from semprune.backbones.weights.fingerprint import fingerprint_folder, fingerprint_model

__all__ = [
    "GATED_MLP",
    "SEPARATE_ATTENTION",
    "Backbone",
    "Family",
    "FamilyMatrix",
    "Replacement",
    "ablate",
    "capture",
    "decoder_layers",
    "describe",
    "embedded_backbones",
    "families",
    "family_of",
    "find_family",
    "fingerprint_folder",
    "fingerprint_model",
    "load_backbone",
    "neuron_sites",
    "prunable_matrices",
]
