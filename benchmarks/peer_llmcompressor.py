"""Prunes a folder with llmcompressor; run by ``pruning_peer.py`` with the interpreter that has llmcompressor.

Imports nothing of semprune, so that the peer may need other versions of torch and transformers. The last line that it
prints is a JSON object: CPU and wall seconds of ``oneshot`` alone, and the versions.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file


def main() -> None:
    """Load, prune with the clock running, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tokens", type=Path, required=True, help="safetensors with input_ids [sequences, tokens]")
    parser.add_argument("--method", choices=["wanda", "sparsegpt"], required=True)
    parser.add_argument("--sparsity", type=float, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(asked.model, dtype=torch.float32)
    model.eval()
    rows = [{"input_ids": row, "attention_mask": torch.ones_like(row)} for row in load_file(asked.tokens)["input_ids"]]
    loader = torch.utils.data.DataLoader(rows, batch_size=asked.batch_size)
    pruning = importlib.import_module("llmcompressor.modifiers.pruning")
    kind = {"wanda": "WandaPruningModifier", "sparsegpt": "SparseGPTModifier"}[asked.method]
    recipe = getattr(pruning, kind)(sparsity=asked.sparsity, targets=["Linear"], ignore=["re:.*lm_head"])
    oneshot = importlib.import_module("llmcompressor").oneshot
    cpu, wall = time.process_time(), time.perf_counter()
    oneshot(
        model=model,
        dataset=loader,
        recipe=recipe,
        pipeline="sequential",
        num_calibration_samples=len(rows),
        shuffle_calibration_samples=False,
    )
    found = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    model.save_pretrained(asked.output, save_compressed=False)
    versions = {name: importlib.import_module(name).__version__ for name in ("llmcompressor", "torch", "transformers")}
    print(json.dumps({**found, "versions": versions}))


if __name__ == "__main__":
    main()
