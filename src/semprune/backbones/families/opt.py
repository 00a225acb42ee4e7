"""OPT: no gate; the MLP sits in the block itself and joins batch and tokens."""

from semprune.backbones.family import Family, FamilyMatrix

FAMILY = Family(
    name="opt",
    architectures=("OPTForCausalLM",),
    layers="model.decoder.layers",
    matrices=(
        FamilyMatrix("self_attn.q_proj", "q"),
        FamilyMatrix("self_attn.k_proj", "k"),
        FamilyMatrix("self_attn.v_proj", "v"),
        FamilyMatrix("self_attn.out_proj", "o"),
        FamilyMatrix("fc1", "up"),
        FamilyMatrix("fc2", "down"),
    ),
    width_setting="ffn_dim",
)
