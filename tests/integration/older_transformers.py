"""Run by an interpreter's older transformers: makes tiny models, or reads folders in pairs and compares their logits.

python older_transformers.py PACKAGES make MODELS_YAML FOLDER
python older_transformers.py PACKAGES compare FOLDER OTHER
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import torch
import transformers
import yaml

IDS = torch.arange(5, 15)[None]
SIZE = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZE |= {"max_position_embeddings": 32, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
ROPE = {"LlamaForCausalLM": {"rope_theta": 500000.0, "rope_scaling": {"rope_type": "linear", "factor": 4.0}}}
ROPE |= {name: {"rope_theta": 1000000.0} for name in ("Qwen2ForCausalLM", "MistralForCausalLM", "Qwen3MoeForCausalLM")}


def make(models: str, folder: str) -> list[str]:
    """Save a random model of every listed architecture that this transformers has; return their folders' names."""
    made = []
    for architecture, variants in yaml.safe_load(Path(models).read_text()).items():
        cls = getattr(transformers, architecture, None)
        for number, own in enumerate(variants.values() if cls else ()):
            given = {key: value for key, value in own.items() if key != "rope_parameters"}
            torch.manual_seed(0)
            try:
                model = cls(cls.config_class(**SIZE, **given, **ROPE.get(architecture, {}))).eval()
                model(IDS)
            except (AttributeError, ValueError):  # keys that only newer versions know
                continue
            for value in model.parameters():
                value.data += 0.1 * torch.randn_like(value)
            made.append(f"{architecture}-{number}")
            model.save_pretrained(Path(folder) / made[-1])
    return made


def compare(folder: str, other: str) -> dict[str, float]:
    """Return the largest difference of logits of each model and its counterpart."""
    found = {}
    for path in sorted(Path(other).iterdir()):
        logits = []
        for place in (Path(folder) / path.name, path):
            model, info = transformers.AutoModelForCausalLM.from_pretrained(place, output_loading_info=True)
            assert not info["missing_keys"], (place, info)
            assert not info["unexpected_keys"], (place, info)
            with torch.no_grad():
                logits.append(model.eval()(IDS).logits)
        found[path.name] = float((logits[0] - logits[1]).abs().max())
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"make": make, "compare": compare}[sys.argv[2]](*sys.argv[3:])))
