"""Llama and the models that kept its layout: separate q, k, v and a gated MLP."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="llama",
    architectures=(
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "MinistralForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "GemmaForCausalLM",
        "Gemma2ForCausalLM",
        "Gemma3ForCausalLM",
        "GraniteForCausalLM",
        "OlmoForCausalLM",
        "Olmo2ForCausalLM",
        "Olmo3ForCausalLM",
        "SmolLM3ForCausalLM",
        "StableLmForCausalLM",
        "Exaone4ForCausalLM",
        "SeedOssForCausalLM",
    ),
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
)
