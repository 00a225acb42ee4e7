"""GPT-Neo: every other block attends to a window; no gate."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="gpt_neo",
    architectures=("GPTNeoForCausalLM",),
    layers="transformer.h",
    matrices=(
        FamilyMatrix("attn.attention.q_proj", "q"),
        FamilyMatrix("attn.attention.k_proj", "k"),
        FamilyMatrix("attn.attention.v_proj", "v"),
        FamilyMatrix("attn.attention.out_proj", "o"),
        FamilyMatrix("mlp.c_fc", "up"),
        FamilyMatrix("mlp.c_proj", "down"),
    ),
)
