"""Command R: the Llama layout, side by side; norms of queries and keys may hold a row per head: no matrices."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="cohere",
    architectures=("CohereForCausalLM", "Cohere2ForCausalLM"),
    layers="model.layers",
    matrices=(
        FamilyMatrix("self_attn.q_proj", "q"),
        FamilyMatrix("self_attn.k_proj", "k"),
        FamilyMatrix("self_attn.v_proj", "v"),
        FamilyMatrix("self_attn.o_proj", "o"),
        FamilyMatrix("mlp.gate_proj", "gate"),
        FamilyMatrix("mlp.up_proj", "up"),
        FamilyMatrix("mlp.down_proj", "down"),
    ),
    excluded=("self_attn.q_norm.weight", "self_attn.k_norm.weight"),
)
