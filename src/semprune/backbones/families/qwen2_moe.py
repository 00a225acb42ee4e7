"""Qwen2-MoE: beside the routed experts one that every token passes, and blocks with an ordinary MLP where asked for.

The router (``mlp.gate``) is left dense, as for Mixtral, and so is the one row that weighs the shared expert.
"""

from semprune.backbones.family import EXPERTS, GATED_MLP, SEPARATE_ATTENTION, Family, FamilyMatrix

FAMILY = Family(
    name="qwen2_moe",
    architectures=("Qwen2MoeForCausalLM",),
    layers="model.layers",
    matrices=(
        *SEPARATE_ATTENTION,
        FamilyMatrix("mlp.shared_expert.gate_proj", "gate"),
        FamilyMatrix("mlp.shared_expert.up_proj", "up"),
        FamilyMatrix("mlp.shared_expert.down_proj", "down"),
        *EXPERTS,
    ),
    excluded=("mlp.gate.weight", "mlp.shared_expert_gate.weight"),
    alternatives=((*SEPARATE_ATTENTION, *GATED_MLP),),
)
