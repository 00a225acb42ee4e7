"""GLM-4: separate q, k and v; gate and up in one matrix."""

from semprune.backbones.family import SEPARATE_ATTENTION, Family, FamilyMatrix

FAMILY = Family(
    name="glm",
    architectures=("GlmForCausalLM", "Glm4ForCausalLM"),
    layers="model.layers",
    matrices=(*SEPARATE_ATTENTION, FamilyMatrix("mlp.gate_up_proj", "gate_up"), FamilyMatrix("mlp.down_proj", "down")),
)
