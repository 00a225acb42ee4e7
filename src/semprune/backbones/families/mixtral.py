"""Mixtral and OLMoE: the Llama layout with a mixture of experts in every block.

The router (``mlp.gate``) is left dense: it is a few rows of the model, and what it decides, every token's experts,
cannot be repaired by the weights that stay.
"""

from semprune.backbones.family import EXPERTS, SEPARATE_ATTENTION, Family

FAMILY = Family(
    name="mixtral",
    architectures=("MixtralForCausalLM", "OlmoeForCausalLM"),
    layers="model.layers",
    matrices=(*SEPARATE_ATTENTION, *EXPERTS),
    excluded=("mlp.gate.weight",),
)
