"""gpt-oss: experts stored ``[experts, in, out]`` with biases, gate and up interleaved.

The router is left dense, as for Mixtral. The experts' biases are stacked, hence matrices in shape only.
"""

from semprune.backbones.family import SEPARATE_ATTENTION, Family, FamilyMatrix

FAMILY = Family(
    name="gpt_oss",
    architectures=("GptOssForCausalLM",),
    layers="model.layers",
    matrices=(
        *SEPARATE_ATTENTION,
        FamilyMatrix("mlp.experts", "gate_up", transposed=True, parameter="gate_up_proj", experts=True),
        FamilyMatrix("mlp.experts", "down", transposed=True, parameter="down_proj", experts=True),
    ),
    excluded=("mlp.router.weight", "mlp.experts.gate_up_proj_bias", "mlp.experts.down_proj_bias"),
)
