"""StarCoder2: separate q, k and v, and an MLP without a gate."""

from semprune.backbones.family import SEPARATE_ATTENTION, Family, FamilyMatrix

FAMILY = Family(
    name="starcoder2",
    architectures=("Starcoder2ForCausalLM",),
    layers="model.layers",
    matrices=(*SEPARATE_ATTENTION, FamilyMatrix("mlp.c_fc", "up"), FamilyMatrix("mlp.c_proj", "down")),
)
