"""Phi-1, 1.5 and 2: attention and MLP side by side, no gate."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="phi",
    architectures=("PhiForCausalLM",),
    layers="model.layers",
    matrices=(
        FamilyMatrix("self_attn.q_proj", "q"),
        FamilyMatrix("self_attn.k_proj", "k"),
        FamilyMatrix("self_attn.v_proj", "v"),
        FamilyMatrix("self_attn.dense", "o"),
        FamilyMatrix("mlp.fc1", "up"),
        FamilyMatrix("mlp.fc2", "down"),
    ),
)
