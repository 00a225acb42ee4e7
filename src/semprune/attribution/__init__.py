"""Neuron Semantic Attribution: learn which neuron carries which concept, check it causally, measure what is lost."""

from semprune.attribution.association import Association, load_association
from semprune.attribution.causal import causal_check
from semprune.attribution.module import NeuronSemanticAttribution
from semprune.attribution.outcome import TestOutcome

__all__ = ["Association", "NeuronSemanticAttribution", "TestOutcome", "causal_check", "load_association"]
