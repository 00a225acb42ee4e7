"""Neuron Semantic Attribution: learn which neuron carries which concept, check it causally, measure what is lost."""

from semprune.attribution.ablation.causal import causal_check
from semprune.attribution.association.association import Association, load_association
from semprune.attribution.module import NeuronSemanticAttribution
from semprune.attribution.test_pass import TestPass

__all__ = ["Association", "NeuronSemanticAttribution", "TestPass", "causal_check", "load_association"]
