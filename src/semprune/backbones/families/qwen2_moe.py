"""Qwen2-MoE: beside the routed experts one that every token passes, and blocks with an ordinary MLP where asked for.

The router (``mlp.gate``) is left dense, as for Mixtral, and so is the one row that weighs the shared expert.
"""

from semprune.backbones.family import Family, FamilyMatrix

ATTENTION = (
    FamilyMatrix("self_attn.q_proj", "q"),
    FamilyMatrix("self_attn.k_proj", "k"),
    FamilyMatrix("self_attn.v_proj", "v"),
    FamilyMatrix("self_attn.o_proj", "o"),
)

FAMILY = Family(
    name="qwen2_moe",
    architectures=("Qwen2MoeForCausalLM",),
    layers="model.layers",
    matrices=(
        *ATTENTION,
        FamilyMatrix("mlp.shared_expert.gate_proj", "gate"),
        FamilyMatrix("mlp.shared_expert.up_proj", "up"),
        FamilyMatrix("mlp.shared_expert.down_proj", "down"),
        FamilyMatrix("mlp.experts", "gate_up", parameter="gate_up_proj", experts=True),
        FamilyMatrix("mlp.experts", "down", parameter="down_proj", experts=True),
    ),
    excluded=("mlp.gate.weight", "mlp.shared_expert_gate.weight"),
    alternatives=(
        (
            *ATTENTION,
            FamilyMatrix("mlp.gate_proj", "gate"),
            FamilyMatrix("mlp.up_proj", "up"),
            FamilyMatrix("mlp.down_proj", "down"),
        ),
    ),
)
