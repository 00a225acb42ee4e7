"""Neuron Semantic Attribution: learn which neuron carries which concept, check it causally, measure what is lost."""

from semprune.attribution.ablation.causal import causal_check
from semprune.attribution.ablation.mediation import mediate
from semprune.attribution.association.association import Association, load_association
from semprune.attribution.gates.learn import Gates, learn_gates
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.sources import class_tasks, gate_texts
from semprune.attribution.held_out.readout import Readout
from semprune.attribution.module import NeuronSemanticAttribution
from semprune.attribution.neurons.explain import explain, facets, text_evidence
from semprune.attribution.neurons.logit_lens import written_tokens
from semprune.attribution.neurons.watch import token_evidence
from semprune.attribution.semantic_loss.causal_loss import CausalLoss
from semprune.attribution.semantic_loss.concept_norms import ConceptNorms
from semprune.attribution.semantic_loss.pruned_weights import PrunedWeights
from semprune.attribution.semantic_loss.readout_loss import readout_loss
from semprune.attribution.semantic_loss.weights_only import weights_only_loss
from semprune.attribution.test_pass import TestPass

__all__ = [
    "Association",
    "CausalLoss",
    "ConceptNorms",
    "GateSettings",
    "Gates",
    "NeuronSemanticAttribution",
    "PrunedWeights",
    "Readout",
    "TestPass",
    "causal_check",
    "class_tasks",
    "explain",
    "facets",
    "gate_texts",
    "learn_gates",
    "load_association",
    "mediate",
    "readout_loss",
    "text_evidence",
    "token_evidence",
    "weights_only_loss",
    "written_tokens",
]
