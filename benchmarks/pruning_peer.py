"""Speed and held-out perplexity beside llmcompressor: same weights, calibration tokens and number of threads.

llmcompressor needs other versions of torch and transformers, so it lives in an environment of its own:

    python -m venv /path/to/peer && /path/to/peer/bin/pip install llmcompressor==0.14.0.1
    python benchmarks/pruning_peer.py --peer-python /path/to/peer/bin/python --sequences 64 --length 512

Both prune at one sparsity with sequential statistics; seconds are those of the pruning call alone, without loading,
saving and scoring: CPU time unless told otherwise. Perplexity is computed here for both, in fp32 on the same held-out
sequences: what a side lost against the peer is paired by sequence. Each finished run is kept in --work; a killed
comparison goes on there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
from benchmarks.perplexity import perplexity_interval

from semprune import load_backbone, prune_model
from semprune.backbones import Backbone
from semprune.backbones.hardware import fast_fp32
from semprune.data import CalibrationDataModule
from semprune.evaluation import perplexity
from semprune.io.files import write_json
from semprune.io.tensor_files import write_safetensors

METHODS = ("wanda", "sparsegpt")
SIDES = ("llmcompressor float32", "semprune float32", "semprune bfloat16")
PEER_SCRIPT = Path(__file__).with_name("peer_llmcompressor.py")


@fast_fp32()  # as in every command; the peer is a process of its own
def main() -> None:
    """Run what is not finished yet, and print both tables."""
    asked = arguments()
    torch.set_num_threads(asked.threads)
    asked.work.mkdir(parents=True, exist_ok=True)
    lm = load_backbone(asked.backbone, dtype="float32")
    calibration = sequences(lm, "c4", asked.sequences, asked.length)
    text = sequences(lm, "wiki", asked.text_sequences, asked.length)
    kept = asked.work / "results.json"
    results: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.is_file() else {}
    size = f"{asked.backbone} {asked.sequences}x{asked.length} sparsity {asked.sparsity} batch {asked.batch_size}"
    common = f"{size} threads {asked.threads} text {asked.text_sequences}"
    for repeat in range(asked.repeats):
        for method in METHODS:
            for side in SIDES:
                key = f"{common} | {method} | {side} | {repeat}"
                if key not in results:
                    run = peer if side.startswith("llmcompressor") else ours
                    results[key] = run(asked, method, side.split()[1], calibration, text)
                    write_json(kept, results)
                    print(f"  {method}, {side}: {results[key][asked.clock]:.1f} s", flush=True)
    print(common)
    for method in METHODS:
        rows = {
            side: [results[f"{common} | {method} | {side} | {repeat}"] for repeat in range(asked.repeats)]
            for side in SIDES
        }
        show(method, rows, asked.clock)


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", type=Path, required=True, help="interpreter that has llmcompressor")
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=8, help="sequences per forward, on both sides")
    parser.add_argument("--text-sequences", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/pruning_peer"))
    return parser.parse_args()


def sequences(lm: Backbone, name: str, count: int, length: int) -> torch.Tensor:
    """Token ids of a calibration set."""
    return CalibrationDataModule(name, count, length).bind(lm).calibration_input_ids()


def ours(
    asked: argparse.Namespace, method: str, dtype: str, calibration: torch.Tensor, text: torch.Tensor
) -> dict[str, Any]:
    """Prune here; statistics are fp32 whatever the forwards are."""
    lm = load_backbone(asked.backbone, dtype=dtype)
    cpu, wall = time.process_time(), time.perf_counter()
    prune_model(lm.model, calibration, method=method, sparsity=asked.sparsity, batch_size=asked.batch_size)
    found = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {**found, "losses": perplexity(lm.model.float(), text)[1].tolist()}


def peer(
    asked: argparse.Namespace, method: str, dtype: str, calibration: torch.Tensor, text: torch.Tensor
) -> dict[str, Any]:
    """Write the dense model and the tokens, let llmcompressor prune them, and score what it leaves."""
    dense, tokens, output = asked.work / f"dense-{dtype}", asked.work / "tokens.safetensors", asked.work / "pruned"
    lm = load_backbone(asked.backbone, dtype=dtype)
    lm.model.save_pretrained(dense)
    lm.tokenizer.save_pretrained(dense)
    write_safetensors(tokens, {"input_ids": calibration}, {"format": "pt"})
    options = {"method": method, "sparsity": asked.sparsity, "batch-size": asked.batch_size, "threads": asked.threads}
    paths = {"model": dense, "tokens": tokens, "output": output}
    flags = [part for name, value in {**options, **paths}.items() for part in (f"--{name}", str(value))]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": str(asked.threads)}
    command = [str(asked.peer_python), str(PEER_SCRIPT), *flags]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    lm.tokenizer.save_pretrained(output)
    pruned = load_backbone(str(output), dtype=dtype)
    weights = [value for name, value in pruned.model.named_parameters() if name.endswith("_proj.weight")]
    zeros = sum(int((value == 0).sum()) for value in weights) / sum(value.numel() for value in weights)
    shutil.rmtree(output)
    return {**found, "sparsity": zeros, "losses": perplexity(pruned.model, text)[1].tolist()}


def show(method: str, rows: dict[str, list[dict[str, Any]]], clock: str) -> None:
    """Print a method's table: seconds, how much faster than the peer, perplexity, its ratio to the peer's."""
    print(f"\n| {method} | s | × faster | perplexity | to the peer's |\n|---|--:|--:|---|---|")
    base = rows[SIDES[0]]
    for side, repeats in rows.items():
        faster = sorted(theirs[clock] / mine[clock] for mine, theirs in zip(repeats, base, strict=True))
        losses = torch.tensor(repeats[0]["losses"], dtype=torch.float64)
        paired = losses - torch.tensor(base[0]["losses"], dtype=torch.float64)
        own, ratio = perplexity_interval(losses), perplexity_interval(paired)
        seconds = sorted(each[clock] for each in repeats)[len(repeats) // 2]
        print(
            f"| {side} | {seconds:.1f} | {faster[len(faster) // 2]:.2f} ({faster[0]:.2f} to {faster[-1]:.2f}) "
            f"| {losses.mean().exp():.2f} [{own.low:.2f}, {own.high:.2f}] "
            f"| {paired.mean().exp():.3f} [{ratio.low:.3f}, {ratio.high:.3f}] |"
        )


if __name__ == "__main__":
    main()
