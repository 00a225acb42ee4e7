"""The job of ``semprune prune``: a pruned folder, or masks, from a configuration."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semprune.errors import OutputWriteError
from semprune.errors.base import some_of
from semprune.io.provenance import RunClock, resident_bytes
from semprune.pruning.streamed.config import PruneConfig
from semprune.pruning.streamed.folder_card import write_folder_card
from semprune.pruning.streamed.memory_estimate import MemoryEstimate, estimate_memory
from semprune.pruning.streamed.output_folder import OutputFolder
from semprune.pruning.streamed.plan import PrunePlan, plan_pruning
from semprune.pruning.streamed.prune_streamed import prune_streamed
from semprune.pruning.weights.linear import prunable_linears

GB = 1e9


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What a run left.

    Attributes:
        folder: The output folder.
        provenance: What its ``provenance.json`` says.
        resumed: How many blocks were finished before this call; all of them where nothing was left to do.
    """

    folder: Path
    provenance: dict[str, Any]
    resumed: int


def run_prune(
    config: PruneConfig, *, say: Callable[[str], None] | None = None, on_block: Callable[[int, int], None] | None = None
) -> PruneResult:
    """Prune a model block by block into a folder.

    Args:
        config: What to do.
        say: Takes what a user should know before the work starts.
        on_block: Called with the number of finished blocks and of all blocks.

    Raises:
        SempruneError: Of the kind of what is wrong with the configuration, the model, the output or the machine.
    """
    clock = RunClock()
    plan = plan_pruning(config)
    output = OutputFolder(Path(config.output).expanduser(), plan.identity())
    count = len(plan.streamed.blocks)
    if output.complete:
        return PruneResult(output.path, output.provenance(), count)
    resumed = len(output.blocks)
    estimate = _estimate(plan, config)
    if say is not None:
        for line in (_announcement(plan, output, estimate), *_remarks(plan)):
            say(line)
    estimate.require(None if config.memory_limit is None else int(config.memory_limit * GB))
    _require_room(plan, output)
    with output.held():
        plan = plan.with_strength(output)
        if say is not None and plan.choice is not None:
            say("\n".join(plan.choice.lines()))
        prune_streamed(
            plan.streamed,
            plan.pruner(output),
            output,
            plan.header(),
            masks_only=plan.masks_only,
            on_block=None if on_block is None else lambda finished: on_block(finished, count),
        )
        about = _provenance(plan, config, output, estimate, clock)
        write_folder_card(plan, config, output, about["sparsity"]["total"])
        output.close(about)
    return PruneResult(output.path, output.provenance(), resumed)


def _estimate(plan: PrunePlan, config: PruneConfig) -> MemoryEstimate:
    size = 1 if plan.settings is None else plan.settings.forward_size
    length = 1 if plan.tokens is None else plan.tokens.input_ids.shape[1]
    return estimate_memory(
        plan.streamed,
        plan.method,
        calibrated=plan.tokens is not None,
        batch_size=size,
        length=length,
        base_bytes=resident_bytes(),
        protected=plan.weighed,
    )


def _announcement(plan: PrunePlan, output: OutputFolder, estimate: MemoryEstimate) -> str:
    streamed = plan.streamed
    weights, count = _weight_bytes(plan), len(streamed.blocks)
    done = f", {len(output.blocks)} of them finished before" if output.blocks else ""
    return (
        f"backbone {streamed.fingerprint}, {str(streamed.dtype).removeprefix('torch.')}, "
        f"{weights / GB:.2f} GB of weights in {count} blocks{done}; "
        f"needs at most {estimate.peak / GB:.2f} GB of memory (most: {estimate.largest})"
    )


def _remarks(plan: PrunePlan) -> list[str]:
    """What is not read, and what is written as it was."""
    streamed = plan.streamed
    unplaced = streamed.conversion.without_place
    copied = [f"the model has no place for {some_of(unplaced)}: copied as stored"] if unplaced else []
    return streamed.checkpoint.remarks() + ([] if plan.masks_only else copied)


def _weight_bytes(plan: PrunePlan) -> int:
    streamed = plan.streamed
    copied = sum(streamed.checkpoint.tensors[name].size_bytes for name in streamed.conversion.without_place)
    tied = streamed.model.all_tied_weights_keys  # a head that is the embeddings again is stored once
    own = (value for name, value in streamed.model.named_parameters() if name not in tied)
    counted: int = sum(value.numel() * value.element_size() for value in own)
    return copied + counted


def _require_room(plan: PrunePlan, output: OutputFolder) -> None:
    """Refuse to start where the disk has no room for what is not written yet."""
    left = 1 - len(output.blocks) / len(plan.streamed.blocks)
    masks = sum(matrix.stored.numel() for inside in prunable_linears(plan.streamed.model).values() for matrix in inside)
    needed = 2 * masks // 8 + (0 if plan.masks_only else int(left * _weight_bytes(plan)))
    if plan.tokens is not None:
        needed += (
            2 * plan.tokens.input_ids.numel() * plan.streamed.model.config.hidden_size * plan.streamed.dtype.itemsize
        )
    width = plan.streamed.model.config.get_text_config().hidden_size * plan.streamed.dtype.itemsize
    blocks = len(plan.streamed.blocks) + 2  # to the last block and back, see `weigh_streamed`
    needed += blocks * width * max((text.tokens.input_ids.numel() for text in plan.weighed), default=0)
    place = next(path for path in (output.path, *output.path.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed:
        detail = f"it needs {needed / GB:.2f} GB, {free / GB:.2f} GB are free"
        raise OutputWriteError(output.path, detail, resumable=bool(output.blocks))


def _provenance(
    plan: PrunePlan, config: PruneConfig, output: OutputFolder, estimate: MemoryEstimate, clock: RunClock
) -> dict[str, Any]:
    header = plan.header()
    by_matrix = {name: share for block in output.blocks for name, share in block["sparsity"].items()}
    patterned = {name: holds for block in output.blocks for name, holds in block["patterned"].items()}
    return clock.record() | {
        "backbone": {
            "name": plan.streamed.source.name,
            "fingerprint": str(plan.streamed.fingerprint),
            "dtype": str(plan.streamed.dtype),
            "without_place": plan.streamed.conversion.without_place,
        },
        "method": header["method"],
        "calibration": {config.calibration.name: header["calibration"]} if header["calibration"] else {},
        "special_tokens": {} if plan.opening is None else {"calibration": plan.opening},
        "settings": asdict(config),
        "sparsity": {**_by_role(plan, by_matrix), "by_matrix": by_matrix},
        "patterned": patterned,
        "memory_estimate_bytes": estimate.peak,
    }


def _by_role(plan: PrunePlan, by_matrix: dict[str, float]) -> dict[str, Any]:
    zeros: dict[str, float] = defaultdict(float)
    sizes: dict[str, int] = defaultdict(int)
    for inside in prunable_linears(plan.streamed.model).values():
        for linear in inside:
            size = linear.stored.numel()
            zeros[linear.matrix.role] += by_matrix[linear.name] * size
            sizes[linear.matrix.role] += size
    by_role = {role: zeros[role] / sizes[role] for role in sizes}
    return {"total": sum(zeros.values()) / sum(sizes.values()), "by_role": by_role}
