"""Nemotron: separate q, k and v, and an MLP without a gate."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="nemotron",
    architectures=("NemotronForCausalLM",),
    layers="model.layers",
    matrices=(
        FamilyMatrix("self_attn.q_proj", "q"),
        FamilyMatrix("self_attn.k_proj", "k"),
        FamilyMatrix("self_attn.v_proj", "v"),
        FamilyMatrix("self_attn.o_proj", "o"),
        FamilyMatrix("mlp.up_proj", "up"),
        FamilyMatrix("mlp.down_proj", "down"),
    ),
)
