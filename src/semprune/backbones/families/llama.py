"""Llama and the models that kept its layout: separate q, k, v and a gated MLP."""

from semprune.backbones.family import GATED_MLP, SEPARATE_ATTENTION, Family

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
    matrices=(*SEPARATE_ATTENTION, *GATED_MLP),
)
