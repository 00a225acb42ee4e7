"""Collect once, prune many: dense statistics of a whole model, from which several prunings are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from semprune.backbones.backbone import Backbone
from semprune.backbones.blocks.runner import calibrating
from semprune.errors import SettingError
from semprune.io.distributed import distributed as several_ranks
from semprune.pruning.block_pruner import BlockPruner, PrunedBlocks
from semprune.pruning.calibration import CalibrationTokens, check_calibration, hash_calibration
from semprune.pruning.guidance.fisher import WeighedText
from semprune.pruning.guidance.guide import with_guides
from semprune.pruning.guidance.protected_text import ProtectedText, with_texts
from semprune.pruning.guidance.protection import Protect, Protection, protections
from semprune.pruning.guidance.sharing import Sharing, share
from semprune.pruning.guidance.strength import AUTO
from semprune.pruning.in_memory.calibration_input import bare_model
from semprune.pruning.in_memory.calibration_pass import Blocks, CalibrationPass, checked_blocks, vocabulary
from semprune.pruning.in_memory.guiding import protected_texts, start_guides, weigh, weigh_general
from semprune.pruning.method import NEEDS, Needs
from semprune.pruning.methods import find_method
from semprune.pruning.methods.wanda import wanda_score
from semprune.pruning.report import PruneReport
from semprune.pruning.selection.allocation import OWL, outlier_share, owl_sparsities
from semprune.pruning.selection.keep import check_selection
from semprune.pruning.settings import PruneSettings, check_settings, check_token_weights
from semprune.pruning.statistics.gathering import Gatherer, require_equal_masks
from semprune.pruning.weights.linear import WeightCopy
from semprune.types import LayerStats


def collect(
    model: nn.Module,
    blocks: Blocks,
    tokens: CalibrationTokens,
    settings: PruneSettings,
    needs: Needs,
    *,
    distributed: bool,
    protected: Sequence[WeighedText] = (),
) -> dict[str, LayerStats]:
    """Return dense statistics of all matrices, by module name; inside ``calibrating``."""
    run = CalibrationPass.start(model, tokens, settings, distributed=distributed)
    kept = settings.keeps_unrouted
    gatherer = Gatherer(needs, settings.selection, run.sequences, shared=run.shared, keep_unrouted=kept)
    guides = start_guides(model, protected, settings, needs, distributed=distributed)
    found: dict[str, LayerStats] = {}
    for index, linears in blocks.items():
        more = index + 1 < len(blocks)
        general = gatherer.gather(run.runner, index, linears, run.tau, advance=more)
        found |= with_guides(guides, general, index, linears, advance=more)
    return found


def allocate(blocks: Blocks, stats: Mapping[str, LayerStats], sparsity: float, owl: OWL) -> dict[str, float]:
    """Return the sparsity of each matrix, its block's by OWL, from dense statistics.

    Raises:
        SettingError: A block's sparsity would be outside [0, 1).
    """
    shares, sizes = [], []
    for linears in blocks.values():
        seen = (linear for linear in linears if linear.name in stats)  # all but experts without a token
        scores = (wanda_score(linear.weight, stats[linear.name]) for linear in seen)
        shares.append(outlier_share(scores, owl.multiple))
        sizes.append(sum(linear.weight.numel() for linear in linears))
    found = owl_sparsities(shares, sizes, sparsity, owl.spread)
    return {linear.name: own for linears, own in zip(blocks.values(), found, strict=True) for linear in linears}


def sizes_of(blocks: Blocks) -> dict[str, int]:
    """How many weights each matrix has, by its name."""
    return {linear.name: linear.weight.numel() for linears in blocks.values() for linear in linears}


@dataclass(frozen=True, slots=True)
class CollectedStatistics:
    """Dense statistics of a model's matrices.

    Attributes:
        layers: Statistics of each matrix's inputs, by module name; matrices that read one tensor share them.
        needs: Which statistics they hold.
        selection: Which selection they are for.
        batch_size: Sequences per forward.
        calibration: sha256 of the calibration's token ids.
        protect: What they keep.
        protected: Its text.
        sharing: How matrices and their rows share a sparsity, where something is protected.
    """

    layers: Mapping[str, LayerStats]
    needs: Needs
    selection: str
    batch_size: int
    calibration: str
    protect: tuple[Protection, ...] = ()
    protected: tuple[ProtectedText, ...] = ()
    sharing: Sharing = field(default_factory=Sharing)


def dense_statistics(
    model: nn.Module | Backbone,
    input_ids: Int[Tensor, "sequences tokens"],
    *,
    methods: Iterable[str] = (),
    needs: Needs = "nothing",
    attention_mask: Int[Tensor, "sequences tokens"] | None = None,
    selection: str = PruneSettings.selection,
    batch_size: int = PruneSettings.batch_size,
    token_weights: Float[Tensor, "sequences tokens"] | None = None,
    distributed: bool = False,
    protect: Protect = None,
    tokenizer: Any = None,
) -> CollectedStatistics:
    """Run a dense model once and return what some methods need to know of it; nothing is changed.

    Second moments (SparseGPT) take 4 · in² bytes for each distinct input of every block, all at once: about 0.4 GB for
    SmolLM2-135M, 22 GB for a 7B model. Source: equations.md.

    Args:
        model: A backbone, or any Hugging Face causal language model of a known family.
        input_ids: Calibration sequences.
        methods: Names of the methods that are to prune from the statistics.
        needs: Statistics that are to be there whatever the methods read: ``squares`` or ``second_moments``.
        attention_mask: As in :func:`semprune.pruning.in_memory.prune_model.prune_model`, like all that follows.
        selection: ``exact`` or ``reference``.
        batch_size: Sequences per forward.
        token_weights: Weights of the tokens.
        distributed: Whether every rank makes this call with the same sequences.
        protect: What is to be kept.
        tokenizer: Of a bare model, where something is to be kept.

    Raises:
        SempruneError: As :func:`semprune.pruning.in_memory.prune_model.prune_model` raises.
    """
    needs = max((needs, *(find_method(method).needs for method in methods)), key=NEEDS.index)
    kept = protections(protect)
    if any(each.strength == AUTO for each in kept):
        allowed = "a number where several prunings share statistics: a strength is chosen for one"
        raise SettingError("protect.strength", AUTO, allowed)
    settings = PruneSettings(0.0, check_selection(selection), "dense", batch_size, protect=kept)
    check_token_weights(settings, token_weights)
    bare = bare_model(model)
    blocks = checked_blocks(bare, settings)
    tokens = check_calibration(input_ids, attention_mask, token_weights, vocabulary(bare))
    layers, sharing, texts = {}, Sharing(), protected_texts(model, settings, tokenizer)
    if needs != "nothing":
        with calibrating(bare):
            protected = weigh(bare, blocks, texts, distributed=distributed)
            if kept:  # a pattern, which is not known yet, leaves nothing to share
                sharing = share(weigh_general(bare, blocks, tokens, distributed=distributed), protected)
            layers = collect(bare, blocks, tokens, settings, needs, distributed=distributed, protected=protected)
    calibration = hash_calibration(tokens.input_ids, tokens.tau)
    return CollectedStatistics(layers, needs, selection, batch_size, calibration, kept, texts, sharing)


def prune_from(
    model: nn.Module,
    statistics: CollectedStatistics,
    *,
    method: str,
    sparsity: float | None = None,
    pattern: str | None = None,
    allocation: str = PruneSettings.allocation,
    distributed: bool = False,
    **options: Any,
) -> PruneReport:
    """Prune a model in place from statistics that were collected from it while it was dense.

    The result is that of ``prune_model(…, statistics="dense")``. To prune again, put the dense weights back first:
    :class:`semprune.pruning.weights.linear.WeightCopy` takes a copy and writes it back.

    Args:
        model: The model of :func:`dense_statistics`, dense again.
        statistics: What it returned.
        method: Name of a method that the statistics are enough for.
        sparsity: As in :func:`semprune.pruning.in_memory.prune_model.prune_model`, like all that follows.
        pattern: ``N:M`` instead.
        allocation: ``uniform`` or ``owl``.
        distributed: Whether every rank makes this call; masks are compared then.
        options: Options of the method and of the allocation.

    Raises:
        SettingError: The statistics do not hold what the method reads, or are those of another model.
        SempruneError: As :func:`semprune.pruning.in_memory.prune_model.prune_model` raises.
    """
    settings = PruneSettings(
        sparsity,
        statistics.selection,
        "dense",
        statistics.batch_size,
        pattern,
        options,
        allocation,
        protect=statistics.protect,
    )
    found = check_settings(method, settings)
    blocks = checked_blocks(model, settings)
    _check_enough(statistics, settings.needs(found), blocks, method)
    sharing = statistics.sharing if settings.shares else Sharing()
    shares = sharing.sparsities(sizes_of(blocks), settings.keep.sparsity)
    if settings.owl is not None and sparsity is not None:
        shares = allocate(blocks, statistics.layers, sparsity, settings.owl)
    pruned = PrunedBlocks()
    with calibrating(model):
        pruner = BlockPruner(found, settings, allocation=shares, outputs=sharing.outputs)
        for linears in blocks.values():
            pruned.add(pruner.decide(linears, statistics.layers if found.needs_statistics else {}))
    calibration = statistics.calibration if settings.needs(found) != "nothing" else None
    report = pruned.report(found.name, with_texts(settings.relevant(found), statistics.protected), calibration)
    if distributed and several_ranks():
        require_equal_masks(report.mask_hash, next(model.parameters()).device)
    return report


def _check_enough(statistics: CollectedStatistics, needs: Needs, blocks: Blocks, method: str) -> None:
    if NEEDS.index(needs) > NEEDS.index(statistics.needs):
        raise SettingError("statistics", statistics.needs, f"collected with {method} among `methods`: it reads {needs}")
    for linears in blocks.values():
        for linear in linears:
            stats = statistics.layers.get(linear.name)
            if needs != "nothing" and (stats is None or stats.sum_squares.shape[0] != linear.weight.shape[1]):
                raise SettingError("statistics", "none that fit", f"collected from this model, with {linear.name}")


def mass_lost(weight: Float[Tensor, "out in"], kept: Bool[Tensor, "out in"], squares: Float[Tensor, " in"]) -> float:
    r"""Share of a matrix's Wanda scores that a mask removes.

    .. math:: 1 - \frac{\sum_{ij} m_{ij} |W_{ij}| \lVert X_j\rVert_2}{\sum_{ij} |W_{ij}| \lVert X_j\rVert_2}

    Source: the scores are equations.md P2's. Unlike the sparsity it tells masks of one size apart, and with one set of
    norms it compares masks of all methods.

    Args:
        weight: Dense weight.
        kept: The mask.
        squares: `‖X_j‖²` of the matrix's inputs, all from the same text.

    Returns:
        From 0 to 1; NaN where the matrix saw no input.

    Example:
        >>> kept = torch.tensor([[True, False]])
        >>> mass_lost(torch.tensor([[-2.0, 1.0]]), kept, torch.tensor([1.0, 4.0]))
        0.5
    """
    scores, norms = weight.abs().float(), squares.sqrt().to(weight.device, torch.float32)
    total = float((scores @ norms).sum(dtype=torch.float64))
    if total == 0:
        return float("nan")
    return 1 - float((scores.mul_(kept.to(weight.device)) @ norms).sum(dtype=torch.float64)) / total


def masses_lost(
    dense: WeightCopy, masks: Mapping[str, Bool[Tensor, "rows columns"]], statistics: CollectedStatistics
) -> dict[str, float]:
    """:func:`mass_lost` of every matrix that a pruning has a mask for, by its name.

    Args:
        dense: Weights from before the pruning.
        masks: Of the pruning's report, in the stored orientation.
        statistics: Of the dense model, on the text that all compared prunings are measured with.
    """
    return {
        linear.name: mass_lost(
            linear.orient(weight), linear.orient(masks[linear.name]), statistics.layers[linear.name].sum_squares
        )
        for linear, weight in dense
        if linear.name in masks
    }
