"""Falcon: q, k and v in one matrix; attention and MLP one after the other (RW) or side by side (7B, 40B)."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="falcon",
    architectures=("FalconForCausalLM",),
    layers="transformer.h",
    matrices=(
        FamilyMatrix("self_attention.query_key_value", "qkv"),
        FamilyMatrix("self_attention.dense", "o"),
        FamilyMatrix("mlp.dense_h_to_4h", "up"),
        FamilyMatrix("mlp.dense_4h_to_h", "down"),
    ),
    width_setting="ffn_hidden_size",
)
