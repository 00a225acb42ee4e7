"""StarCoder and SantaCoder: GPT-2 with ordinary linears and one key and value for all heads."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="gpt_bigcode",
    architectures=("GPTBigCodeForCausalLM",),
    layers="transformer.h",
    matrices=(
        FamilyMatrix("attn.c_attn", "qkv"),
        FamilyMatrix("attn.c_proj", "o"),
        FamilyMatrix("mlp.c_fc", "up"),
        FamilyMatrix("mlp.c_proj", "down"),
    ),
    width_setting="n_inner",
)
