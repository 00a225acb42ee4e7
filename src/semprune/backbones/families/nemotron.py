"""Nemotron: separate q, k and v, and an MLP without a gate."""

from semprune.backbones.family import SEPARATE_ATTENTION, Family, FamilyMatrix

FAMILY = Family(
    name="nemotron",
    architectures=("NemotronForCausalLM",),
    layers="model.layers",
    matrices=(*SEPARATE_ATTENTION, FamilyMatrix("mlp.up_proj", "up"), FamilyMatrix("mlp.down_proj", "down")),
)
