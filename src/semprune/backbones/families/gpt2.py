"""GPT-2: q, k and v in one matrix, no gate, and Conv1D modules that store ``[in, out]``."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="gpt2",
    architectures=("GPT2LMHeadModel",),
    layers="transformer.h",
    matrices=(
        FamilyMatrix("attn.c_attn", "qkv", transposed=True),
        FamilyMatrix("attn.c_proj", "o", transposed=True),
        FamilyMatrix("mlp.c_fc", "up", transposed=True),
        FamilyMatrix("mlp.c_proj", "down", transposed=True),
    ),
    width_setting="n_inner",
)
