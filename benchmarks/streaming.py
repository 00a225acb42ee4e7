"""A model larger than the memory limit is pruned, killed twice on the way, and ends with the bytes of a whole run.

    python -m benchmarks.streaming                                      # 6 GB of weights under a limit of 3 GB
    python -m benchmarks.streaming --weights-gb 1.5 --limit-gb 1.1      # small

It writes a random Llama in bfloat16 into a temporary folder and prunes it with Wanda in processes whose data segment
(anonymous memory) is limited by the system; the same limit is shown to stop pruning in memory. Then peak memory of
streamed and in-memory pruning of a smaller model, without a limit. Needs three times the weights on the disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from semprune.backbones.loading.source import BackboneSource
from semprune.backbones.streamed import StreamedModel
from semprune.io.provenance import peak_memory_bytes, resident_bytes
from semprune.io.tensor_files import storage_order, stream_safetensors
from semprune.pruning import prune_model
from semprune.pruning.calibration import check_calibration
from semprune.pruning.settings import PruneSettings, check_settings
from semprune.pruning.streamed.memory_estimate import estimate_memory
from semprune.pruning.streamed.output_folder import PROVENANCE, RUN, WORK, OutputFolder
from semprune.pruning.streamed.plan import PrunePlan
from semprune.pruning.streamed.prune_streamed import prune_streamed

VOCABULARY, SEQUENCES, TOKENS = 32000, 8, 128
GB = 1e9
LEAN = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1000000"}
"""The limit counts addresses, also reserved and freed ones: pyarrow's pool alone a gigabyte, each thread 64 MB, and
holes between what glibc keeps on its heap. Resident memory is the same without these settings."""


def write_model(folder: Path, gigabytes: float) -> float:
    """Write a random Llama of at least so many gigabytes, block by block; returns its gigabytes."""
    width = 2048 if gigabytes > 2 else 1024
    size = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": 16, "num_key_value_heads": 8}
    block = 2 * (3 * width * width + 12 * width * width)  # bytes: q, k, v, o take 3 width², the MLP 12 width²
    around = 4 * VOCABULARY * width
    blocks = max(2, -int(-(gigabytes * GB - around) // block))
    config = LlamaConfig(vocab_size=VOCABULARY, num_hidden_layers=blocks, dtype="bfloat16", **size)
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {n: tuple(v.shape) for n, v in AutoModelForCausalLM.from_config(config).state_dict().items()}
    weight_map: dict[str, str] = {}
    for shard in sorted({_shard(name) for name in shapes}):
        own = {name: (torch.bfloat16, shape) for name, shape in shapes.items() if _shard(name) == shard}
        order = storage_order(own)
        stream_safetensors(folder / shard, own, _random(order, shapes), {"format": "pt"})
        weight_map |= dict.fromkeys(order, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) / GB


def _shard(name: str) -> str:
    part = name.split(".")[2] if ".layers." in name else "rest"
    return f"model-{part}.safetensors"


def _random(order: list[str], shapes: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, torch.Tensor]]:
    for name in order:
        generator = torch.Generator().manual_seed(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
        if "norm" in name:
            yield name, torch.ones(shapes[name], dtype=torch.bfloat16)
        else:
            yield name, torch.empty(shapes[name], dtype=torch.bfloat16).normal_(0, 0.02, generator=generator)


def _ids() -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (SEQUENCES, TOKENS), generator=torch.Generator().manual_seed(0))


def streamed(folder: Path, out: Path) -> int:
    """Prune block by block; returns the announced bytes."""
    model = StreamedModel(BackboneSource(str(folder), folder, "local", "LlamaForCausalLM"))
    settings = PruneSettings(0.5, batch_size=4)
    method = check_settings("wanda", settings)
    plan = PrunePlan(model, False, settings, method, check_calibration(_ids(), None, None, VOCABULARY))
    announced = estimate_memory(
        model, method, calibrated=True, batch_size=4, length=TOKENS, base_bytes=resident_bytes()
    ).peak
    output = OutputFolder(out, plan.identity())
    with output.held():
        prune_streamed(model, plan.pruner(output), output, plan.header())
        output.close({})
    return announced


def in_memory(folder: Path) -> None:
    """Load the whole model and prune it."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    prune_model(model, _ids(), method="wanda", sparsity=0.5, batch_size=4)


def child(how: str, folder: Path, out: Path, limit_gb: float) -> None:
    """One process under a limit, for its own peak; prints what it measured."""
    if limit_gb:
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit_gb * GB), int(limit_gb * GB)))
    started = time.monotonic()
    announced = streamed(folder, out) if how == "streamed" else in_memory(folder)
    seconds = time.monotonic() - started
    print(json.dumps({"peak_gb": peak_memory_bytes() / GB, "seconds": seconds, "announced_gb": (announced or 0) / GB}))


def _start(how: str, folder: Path, out: Path, limit_gb: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.streaming", "--child", how, str(folder), str(out), str(limit_gb)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **LEAN}
    )


def measured(how: str, folder: Path, out: Path, limit_gb: float) -> dict[str, float] | None:
    """What a process measured; None where the limit ended it."""
    process = _start(how, folder, out, limit_gb)
    said, complaint = process.communicate()
    if process.returncode == 0:
        return dict(json.loads(said.splitlines()[-1]))
    if "not enough memory" in complaint or "MemoryError" in complaint or "Cannot allocate" in complaint:
        print(complaint.strip().splitlines()[-1], flush=True)
        return None
    raise RuntimeError(complaint)


def kill_after(folder: Path, out: Path, limit_gb: float, blocks: int) -> int:
    """Kill a run as soon as so many blocks are finished; returns how many were."""
    process = _start("streamed", folder, out, limit_gb)
    while process.poll() is None and finished_blocks(out) < blocks:
        time.sleep(0.05)
    if process.poll() is not None:
        raise RuntimeError(process.communicate()[1])
    process.send_signal(signal.SIGKILL)
    process.communicate()  # also closes its pipes
    return finished_blocks(out)


def finished_blocks(out: Path) -> int:
    """How many blocks an unfinished run has finished."""
    record = out / WORK / RUN
    return len(json.loads(record.read_text())["blocks"]) if record.is_file() else 0


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files, all but the provenance."""
    names = [sorted(path.name for path in folder.iterdir()) for folder in (one, other)]
    return names[0] == names[1] and all(
        _digest(one / name) == _digest(other / name) for name in names[0] if name != PROVENANCE
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(weights_gb: float, limit_gb: float, place: str | None) -> dict[str, float]:
    """Make the model, prune it whole and killed twice, and return the figures."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        (folder / "model").mkdir()
        size = write_model(folder / "model", weights_gb)
        blocks = len(list((folder / "model").glob("*.safetensors"))) - 1
        print(f"{size:.2f} GB of weights in {blocks} blocks, limit {limit_gb:g} GB of anonymous memory", flush=True)
        stopped = measured("in_memory", folder / "model", folder / "none", limit_gb) is None
        print(f"in memory: {'stopped by the limit' if stopped else 'NOT stopped by the limit'}", flush=True)
        whole = measured("streamed", folder / "model", folder / "whole", limit_gb)
        if whole is None:
            raise RuntimeError("streamed pruning was stopped by the limit")
        print(f"streamed, whole run: {whole['seconds']:.0f} s, peak {whole['peak_gb']:.2f} GB "
              f"({whole['announced_gb']:.2f} GB announced)", flush=True)  # fmt: skip
        first = kill_after(folder / "model", folder / "killed", limit_gb, blocks // 3)
        second = kill_after(folder / "model", folder / "killed", limit_gb, 2 * blocks // 3)
        if measured("streamed", folder / "model", folder / "killed", limit_gb) is None:
            raise RuntimeError("the resumed run was stopped by the limit")
        same = same_bytes(folder / "whole", folder / "killed")
        print(
            f"killed after {first} and {second} of {blocks} blocks: {'same bytes' if same else 'OTHER BYTES'}",
            flush=True,
        )
    return {"size_gb": size, "stopped": stopped, "same": same, "first": first, "second": second, **whole}


def compare(weights_gb: float, place: str | None) -> tuple[float, float]:
    """Peak memory of streamed and in-memory pruning of one model, without a limit."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        (folder / "model").mkdir()
        size = write_model(folder / "model", weights_gb)
        streaming = measured("streamed", folder / "model", folder / "out", 0)
        memory = measured("in_memory", folder / "model", folder / "out", 0)
    assert streaming is not None
    assert memory is not None
    peaks = [found["peak_gb"] for found in (streaming, memory)]
    took = [found["seconds"] for found in (streaming, memory)]
    print(f"{size:.2f} GB of weights, no limit: peak {peaks[0]:.2f} GB streamed, {peaks[1]:.2f} GB in memory "
          f"({peaks[1] / peaks[0]:.1f} x); {took[0]:.0f} s and {took[1]:.0f} s")  # fmt: skip
    return peaks[0], peaks[1]


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights-gb", type=float, default=6.0)
    parser.add_argument("--limit-gb", type=float, default=3.0)
    parser.add_argument("--place", help="a folder with room; the system's temporary one by default")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        how, folder, out, limit = given.child
        child(how, Path(folder), Path(out), float(limit))
        return
    run(given.weights_gb, given.limit_gb, given.place)
    compare(given.weights_gb / 3, given.place)


if __name__ == "__main__":
    main()
