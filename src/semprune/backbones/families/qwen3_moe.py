"""Qwen3-MoE: blocks with a mixture of experts and, where the configuration says so, blocks with an ordinary MLP.

The router (``mlp.gate``) is left dense, as for Mixtral.
"""

from semprune.backbones.family import EXPERTS, GATED_MLP, SEPARATE_ATTENTION, Family

FAMILY = Family(
    name="qwen3_moe",
    architectures=("Qwen3MoeForCausalLM",),
    layers="model.layers",
    matrices=(*SEPARATE_ATTENTION, *EXPERTS),
    excluded=("mlp.gate.weight",),
    alternatives=((*SEPARATE_ATTENTION, *GATED_MLP),),
)
