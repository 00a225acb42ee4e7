"""Qwen3-MoE: blocks with a mixture of experts and, where the configuration says so, blocks with an ordinary MLP.

The router (``mlp.gate``) is left dense, as for Mixtral.
"""

from semprune.backbones.family import Family, FamilyMatrix

ATTENTION = (
    FamilyMatrix("self_attn.q_proj", "q"),
    FamilyMatrix("self_attn.k_proj", "k"),
    FamilyMatrix("self_attn.v_proj", "v"),
    FamilyMatrix("self_attn.o_proj", "o"),
)

FAMILY = Family(
    name="qwen3_moe",
    architectures=("Qwen3MoeForCausalLM",),
    layers="model.layers",
    matrices=(
        *ATTENTION,
        FamilyMatrix("mlp.experts", "gate_up", parameter="gate_up_proj", experts=True),
        FamilyMatrix("mlp.experts", "down", parameter="down_proj", experts=True),
    ),
    excluded=("mlp.gate.weight",),
    alternatives=(
        (
            *ATTENTION,
            FamilyMatrix("mlp.gate_proj", "gate"),
            FamilyMatrix("mlp.up_proj", "up"),
            FamilyMatrix("mlp.down_proj", "down"),
        ),
    ),
)
