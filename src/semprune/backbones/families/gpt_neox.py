"""GPT-NeoX and Pythia: q, k and v in one matrix, interleaved by head; no gate."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="gpt_neox",
    architectures=("GPTNeoXForCausalLM",),
    layers="gpt_neox.layers",
    matrices=(
        FamilyMatrix("attention.query_key_value", "qkv"),
        FamilyMatrix("attention.dense", "o"),
        FamilyMatrix("mlp.dense_h_to_4h", "up"),
        FamilyMatrix("mlp.dense_4h_to_h", "down"),
    ),
)
