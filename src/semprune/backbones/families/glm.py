"""GLM-4: separate q, k and v; gate and up in one matrix."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="glm",
    architectures=("GlmForCausalLM", "Glm4ForCausalLM"),
    layers="model.layers",
    matrices=(
        FamilyMatrix("self_attn.q_proj", "q"),
        FamilyMatrix("self_attn.k_proj", "k"),
        FamilyMatrix("self_attn.v_proj", "v"),
        FamilyMatrix("self_attn.o_proj", "o"),
        FamilyMatrix("mlp.gate_up_proj", "gate_up"),
        FamilyMatrix("mlp.down_proj", "down"),
    ),
)
