"""GPT-J: attention and MLP side by side, no gate."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="gptj",
    architectures=("GPTJForCausalLM",),
    layers="transformer.h",
    matrices=(
        FamilyMatrix("attn.q_proj", "q"),
        FamilyMatrix("attn.k_proj", "k"),
        FamilyMatrix("attn.v_proj", "v"),
        FamilyMatrix("attn.out_proj", "o"),
        FamilyMatrix("mlp.fc_in", "up"),
        FamilyMatrix("mlp.fc_out", "down"),
    ),
    width_setting="n_inner",
)
