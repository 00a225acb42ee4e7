"""Command R: the Llama layout, side by side; norms of queries and keys may hold a row per head: no matrices."""

from semprune.backbones.family import GATED_MLP, SEPARATE_ATTENTION, Family

FAMILY = Family(
    name="cohere",
    architectures=("CohereForCausalLM", "Cohere2ForCausalLM"),
    layers="model.layers",
    matrices=(*SEPARATE_ATTENTION, *GATED_MLP),
    excluded=("self_attn.q_norm.weight", "self_attn.k_norm.weight"),
)
