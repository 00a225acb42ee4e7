"""Tiny random models of every architecture that a family declares; see ``tiny_models.yaml``."""

from pathlib import Path

import torch
import yaml
from tests.models import LLAMA, random_model

from semprune.backbones.families import families

SIZE = LLAMA | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
del SIZE["intermediate_size"]  # each variant states its own, or has none
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
    settings = {**SIZE, "vocab_size": vocab_size, **own[variant or next(iter(own))], **changes}
    model = random_model(architecture, **settings)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.1 * torch.randn_like(value)  # biases start at 0 and norms at 1, where mistakes do not show
    return model
