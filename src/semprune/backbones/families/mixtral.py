"""Mixtral and OLMoE: the Llama layout with a mixture of experts in every block.

The router (``mlp.gate``) is left dense, as the published prunings of mixtures leave it: it is a few rows of the model,
and what it decides, every token's experts, cannot be repaired by the weights that stay.
"""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="mixtral",
    architectures=("MixtralForCausalLM", "OlmoeForCausalLM"),
    layers="model.layers",
    matrices=(
        FamilyMatrix("self_attn.q_proj", "q"),
        FamilyMatrix("self_attn.k_proj", "k"),
        FamilyMatrix("self_attn.v_proj", "v"),
        FamilyMatrix("self_attn.o_proj", "o"),
        FamilyMatrix("mlp.experts", "gate_up", parameter="gate_up_proj", experts=True),
        FamilyMatrix("mlp.experts", "down", parameter="down_proj", experts=True),
    ),
    excluded=("mlp.gate.weight",),
)
