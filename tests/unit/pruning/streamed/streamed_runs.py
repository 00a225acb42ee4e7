"""Streamed prunings of tiny models, for tests, and prunings that kill themselves at every rename."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
from pathlib import Path

import torch
from tests.unit.backbones import tiny

from semprune.backbones.loading.source import BackboneSource
from semprune.backbones.streamed import StreamedModel
from semprune.pruning.calibration import check_calibration
from semprune.pruning.settings import PruneSettings, check_settings
from semprune.pruning.streamed.output_folder import PROVENANCE, OutputFolder
from semprune.pruning.streamed.plan import PrunePlan
from semprune.pruning.streamed.prune_streamed import prune_streamed

IDS = torch.randint(3, 40, (6, 10), generator=torch.Generator().manual_seed(5))


def saved(folder: Path, architecture: str = "LlamaForCausalLM", variant: str | None = None, **changes) -> Path:
    """Write a tiny model as a folder of several shards."""
    tiny.make_model(architecture, variant, **changes).save_pretrained(folder, max_shard_size="10KB")
    return folder


def plan_of(folder: Path, method: str = "wanda", *, masks_only: bool = False, dtype: str = "stored", **settings):
    """Plan a pruning of a saved model by the sequences ``IDS``."""
    config = (folder / "config.json").read_text()
    architecture = next(name for name in tiny.ARCHITECTURES if f'"{name}"' in config)
    streamed = StreamedModel(BackboneSource(str(folder), folder, "local", architecture), dtype=dtype)
    amount = {} if "pattern" in settings else {"sparsity": 0.5}
    asked = PruneSettings(**{"batch_size": 4, **amount, **settings})
    found = check_settings(method, asked)
    tokens = check_calibration(IDS, None, None, 40) if asked.needs(found) != "nothing" else None
    return PrunePlan(streamed, masks_only, asked, found, tokens)


def prune_into(out: Path, plan: PrunePlan, on_block=None) -> OutputFolder:
    """Run a plan to its end."""
    output = OutputFolder(out, plan.identity())
    if not output.complete:
        with output.held():
            plan = plan.with_strength(output)
            pruner = plan.pruner(output)
            prune_streamed(plan.streamed, pruner, output, plan.header(), masks_only=plan.masks_only, on_block=on_block)
            output.close({})
    return output


def contents(folder: Path) -> dict[str, str]:
    """Sha256 of every file but the provenance, which tells the time."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != PROVENANCE)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill_at_rename(number: int) -> None:
    """Let this process kill itself when it is about to rename its n-th finished file into place."""
    count, replace = itertools.count(1), Path.replace

    def counted(self: Path, target: Path) -> Path:
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Path.replace = counted  # type: ignore[method-assign]


def killed(folder: Path, out: Path, number: int) -> bool:
    """Prune in a process of its own that is killed at its n-th rename; False where it came to its end before."""
    child = os.fork()
    if child == 0:
        kill_at_rename(number)
        prune_into(out, plan_of(folder))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def kill_everywhere(_rank: int, folder: Path, outs: Path, step: int) -> None:
    """Prune once to the end; then, for each rename (or every ``step``-th), kill twice there and prune to the end."""
    torch.set_num_threads(1)
    assert not killed(folder, outs / "whole", 0)
    for number in itertools.count(1, step):
        out = outs / f"killed-{number}"
        if not killed(folder, out, number):
            return
        killed(folder, out, number)
        assert not killed(folder, out, 0)
