"""Phi-3 and Phi-4: q, k and v in one matrix, gate and up in another."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="phi3",
    architectures=("Phi3ForCausalLM",),
    layers="model.layers",
    matrices=(
        FamilyMatrix("self_attn.qkv_proj", "qkv"),
        FamilyMatrix("self_attn.o_proj", "o"),
        FamilyMatrix("mlp.gate_up_proj", "gate_up"),
        FamilyMatrix("mlp.down_proj", "down"),
    ),
)
