"""Hashes of what semprune computes: run it before and after a change that must not move a bit.

    python -m benchmarks.identity > before.txt      # on the old commit
    python -m benchmarks.identity > after.txt       # on the new one
    diff before.txt after.txt

Masks and weights of every method on the first six blocks of SmolLM2 (50 % and 2:4, ``exact`` and ``reference``, fp32
and bf16), scores of 50 items of six data sets, and the tensors of a fitted association. Only names that users have are
used, so that the script runs on both commits. Hashes depend on the processor: compare two runs on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

import semprune
from semprune.data import load_documents

METHODS = ("magnitude", "wanda", "ria", "sparsegpt")
DATASETS = ("sst2", "movie_reviews", "mrpc", "piqa", "arc_easy", "bbc_news")
BLOCKS = 6


def _digest(parts: Iterator[tuple[str, torch.Tensor]]) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(parts, key=lambda part: part[0]):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:20]


def _calibration(tokenizer: object, sequences: int, length: int) -> torch.Tensor:
    text = "\n".join(document.text for document in load_documents("bbc_news", limit=60))
    ids = tokenizer(text, return_tensors="pt").input_ids[0]  # type: ignore[operator]
    return ids[: sequences * length].reshape(sequences, length)


def _first_blocks(model: nn.Module) -> nn.Module:
    model.model.layers = model.model.layers[:BLOCKS]
    model.config.num_hidden_layers = BLOCKS
    return model


def masks(dtype: str) -> Iterator[str]:
    """One line per method, amount and selection."""
    lm = semprune.load_backbone("smollm2-135m", dtype=dtype)
    model = _first_blocks(lm.model)
    dense = {name: value.clone() for name, value in model.state_dict().items()}
    ids = _calibration(lm.tokenizer, 8, 128)
    for method in METHODS:
        for amount in ({"sparsity": 0.5}, {"pattern": "2:4"}):
            for selection in ("exact", "reference"):
                model.load_state_dict(dense)
                report = semprune.prune_model(model, ids, method=method, selection=selection, **amount)
                kept = _digest((name, mask.to(torch.uint8)) for name, mask in report.masks.items())
                weights = _digest(iter(model.state_dict().items()))
                yield f"masks {dtype} {method} {amount} {selection} {report.mask_hash[:20]} {kept} {weights}"


def scores() -> Iterator[str]:
    """One line per data set."""
    lm = semprune.load_backbone("smollm2-135m", dtype="bfloat16")
    for name in DATASETS:
        table = semprune.evaluate(lm, [name], limit=50)
        numbers = table.map(lambda value: value.hex() if isinstance(value, float) else str(value)).to_csv(index=False)
        yield f"scores {name} {hashlib.sha256(numbers.encode()).hexdigest()[:20]}"


def association() -> Iterator[str]:
    """One line for each tensor of a small fit."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["fit", "--config", "configs/fit.yaml", "--data.init_args.limit", "60"]
        arguments += ["--trainer.logger.init_args.save_dir", folder]
        subprocess.run([sys.executable, "-m", "semprune.cli", *arguments], check=True, stdout=subprocess.DEVNULL)
        (path,) = Path(folder).rglob("association.safetensors")
        with safe_open(path, "pt") as file:
            for name in sorted(file.keys()):
                yield f"association {name} {_digest(iter([(name, file.get_tensor(name))]))}"


def main() -> None:
    """Print every line as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["masks", "scores", "association"])
    parts = {"masks": (lambda: masks("float32"), lambda: masks("bfloat16")), "scores": (scores,)}
    for part in parser.parse_args().parts:
        for lines in parts.get(part, (association,)):
            for line in lines():
                print(line, flush=True)


if __name__ == "__main__":
    main()
