"""BLOOM: q, k and v in one matrix; positions are a bias on the attention (ALiBi), so no length is too long for it.

Its ``trained_length`` is that of the BLOOM paper (arXiv 2211.05100, table 3).
"""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="bloom",
    architectures=("BloomForCausalLM",),
    layers="transformer.h",
    matrices=(
        FamilyMatrix("self_attention.query_key_value", "qkv"),
        FamilyMatrix("self_attention.dense", "o"),
        FamilyMatrix("mlp.dense_h_to_4h", "up"),
        FamilyMatrix("mlp.dense_4h_to_h", "down"),
    ),
    trained_length=2048,
    width_setting=None,
)
