"""Tiny random models of every architecture that a family declares; see ``tiny_models.yaml``."""

from pathlib import Path

import torch
import transformers
import yaml

from semprune.backbones import families

SIZE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.3,  # the usual 0.02 leaves attention uniform in a model this narrow
}
CONFIGURATIONS = {
    name: variants
    for name, variants in yaml.safe_load(Path(__file__).with_name("tiny_models.yaml").read_text()).items()
    if not name.startswith(".")
}
ARCHITECTURES = sorted(name for family in families() for name in family.architectures)
VARIANTS = [
    (architecture, variant) for architecture in ARCHITECTURES for variant in CONFIGURATIONS.get(architecture, ())
]


def make_model(architecture, variant=None, *, vocab_size=40, **changes):
    """Return a random model in evaluation mode, the same one every time; without a variant, its first."""
    own = CONFIGURATIONS[architecture]
    cls = getattr(transformers, architecture)
    torch.manual_seed(0)
    model = cls(cls.config_class(vocab_size=vocab_size, **{**SIZE, **own[variant or next(iter(own))], **changes}))
    with torch.no_grad():
        for value in model.parameters():
            value += 0.1 * torch.randn_like(value)  # biases start at 0 and norms at 1, where mistakes do not show
    return model.eval()
