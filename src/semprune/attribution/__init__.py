"""Neuron Semantic Attribution: learn which neuron carries which concept, check it causally, measure what is lost."""

from typing import TYPE_CHECKING

from semprune.lazy_names import lazy_names

if TYPE_CHECKING:
    from semprune.attribution.ablation.causal import causal_check
    from semprune.attribution.ablation.mediation import mediate
    from semprune.attribution.association.association import Association, load_association
    from semprune.attribution.gates.learn import Gates, learn_gates
    from semprune.attribution.gates.settings import GateSettings
    from semprune.attribution.gates.sources import class_tasks, gate_texts, word_tasks
    from semprune.attribution.held_out.readout import Readout
    from semprune.attribution.module import NeuronSemanticAttribution
    from semprune.attribution.neurons.explain import explain, text_evidence
    from semprune.attribution.neurons.facets import facets
    from semprune.attribution.neurons.logit_lens import written_by, written_tokens
    from semprune.attribution.neurons.watch import token_evidence
    from semprune.attribution.semantic_loss.causal_loss import CausalLoss
    from semprune.attribution.semantic_loss.concept_norms import ConceptNorms
    from semprune.attribution.semantic_loss.pruned_weights import PrunedWeights
    from semprune.attribution.semantic_loss.readout_loss import readout_loss
    from semprune.attribution.semantic_loss.weights_only import weights_only_loss
    from semprune.attribution.test_pass import TestPass
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Association": "semprune.attribution.association.association",
            "CausalLoss": "semprune.attribution.semantic_loss.causal_loss",
            "ConceptNorms": "semprune.attribution.semantic_loss.concept_norms",
            "GateSettings": "semprune.attribution.gates.settings",
            "Gates": "semprune.attribution.gates.learn",
            "NeuronSemanticAttribution": "semprune.attribution.module",
            "PrunedWeights": "semprune.attribution.semantic_loss.pruned_weights",
            "Readout": "semprune.attribution.held_out.readout",
            "TestPass": "semprune.attribution.test_pass",
            "causal_check": "semprune.attribution.ablation.causal",
            "class_tasks": "semprune.attribution.gates.sources",
            "explain": "semprune.attribution.neurons.explain",
            "facets": "semprune.attribution.neurons.facets",
            "gate_texts": "semprune.attribution.gates.sources",
            "learn_gates": "semprune.attribution.gates.learn",
            "load_association": "semprune.attribution.association.association",
            "mediate": "semprune.attribution.ablation.mediation",
            "readout_loss": "semprune.attribution.semantic_loss.readout_loss",
            "text_evidence": "semprune.attribution.neurons.explain",
            "token_evidence": "semprune.attribution.neurons.watch",
            "weights_only_loss": "semprune.attribution.semantic_loss.weights_only",
            "word_tasks": "semprune.attribution.gates.sources",
            "written_by": "semprune.attribution.neurons.logit_lens",
            "written_tokens": "semprune.attribution.neurons.logit_lens",
        },
    )

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
    "word_tasks",
    "written_by",
    "written_tokens",
]


def __dir__() -> list[str]:
    return sorted([*__all__, "__doc__", "__file__", "__name__", "__path__"])
