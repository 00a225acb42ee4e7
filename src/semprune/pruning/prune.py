"""Prunes a causal language model in place."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from semprune.backbones.blocks import BlockRunner, calibrating, split_batches
from semprune.backbones.layout import decoder_layers, family_of
from semprune.errors import SettingError
from semprune.pruning.block_statistics import BlockStatistics
from semprune.pruning.calibration import CalibrationTokens, check_calibration, hash_calibration
from semprune.pruning.linear import PrunableLinear, check_finite, prunable_linears
from semprune.pruning.method import Method
from semprune.pruning.report import PruneReport
from semprune.pruning.selection import Keep, keeper
from semprune.pruning.settings import PruneSettings, check_settings
from semprune.pruning.sharing import own_batches, require_equal_masks, sum_together
from semprune.pruning.statistics import RunningMeanSquares, SquareSums
from semprune.ranks import distributed as several_ranks
from semprune.types import LayerStats

logger = logging.getLogger(__name__)


def prune_model(
    model: nn.Module,
    input_ids: Int[Tensor, "sequences tokens"] | None,
    *,
    method: str,
    sparsity: float,
    attention_mask: Int[Tensor, "sequences tokens"] | None = None,
    selection: str = "exact",
    statistics: str = "sequential",
    batch_size: int = 8,
    token_weights: Float[Tensor, "sequences tokens"] | None = None,
    distributed: bool = False,
) -> PruneReport:
    """Prune every linear of the decoder blocks in place; embeddings, head, norms and biases stay as they are.

    Nothing is changed before the settings, the weights and the calibration sequences are checked. Activations can
    only be checked on the way: where they turn out not finite, earlier blocks are pruned already, so load the model
    again.

    Source: SCIENCE §2.

    Args:
        model: A Hugging Face causal language model of a known family.
        input_ids: Calibration sequences; None for a method that looks at no data (magnitude).
        method: ``magnitude`` or ``wanda``.
        sparsity: Share of weights to set to zero, in [0, 1).
        attention_mask: 1 for tokens, 0 for padding on either side; padding never counts. None: no padding.
        selection: ``exact`` (exactly the asked number per group, ties by position) or ``reference`` (what the
            published code selects, bit for bit; it sees one sequence per forward).
        statistics: ``sequential``: a block's statistics come from its dense weights and the outputs of the pruned
            blocks before it (as published). ``dense``: from the dense model, in one pass.
        batch_size: Sequences per forward; with several ranks also the unit that is shared out.
        token_weights: Weights of the tokens in the statistics, 1 everywhere where None. Source: SCIENCE G1.
        distributed: Every rank of the default process group makes this call with the same sequences: each runs its
            share of the batches, statistics are summed block by block, and all get the same masks. With
            ``reference`` selection, whose running mean depends on the order, every rank runs all sequences.

    Returns:
        Masks and measured sparsities.

    Raises:
        UnknownMethodError: There is no such method.
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another argument has a value it cannot have.
        EmptyCalibrationError: The method looks at data and there is no token.
        NonFiniteError: A weight or an activation is NaN or infinite; names the matrix.
        UnknownArchitectureError: No family declares the model's class.
        UnprunedMatrixError: A block has a matrix that the family does not name.
        MaskMismatchError: Ranks computed different masks.
    """
    settings = PruneSettings(sparsity, selection, statistics, batch_size)
    found = check_settings(method, settings)
    distributed = distributed and several_ranks()
    if token_weights is not None and selection == "reference":
        raise SettingError("token_weights", "weights", "None with selection 'reference': the published code has none")
    blocks = prunable_linears(model)
    check_finite(linear for linears in blocks.values() for linear in linears)
    masks: dict[str, Tensor] = {}
    calibration = None
    with calibrating(model):
        if found.needs_statistics:
            tokens = check_calibration(input_ids, attention_mask, token_weights, _vocabulary(model))
            calibration = hash_calibration(tokens.input_ids, tokens.tau)
            masks = _prune_calibrated(model, blocks, found, settings, tokens, distributed)
        else:
            for linears in blocks.values():
                masks |= _prune_block(linears, found, {}, keeper(selection, sparsity))
        measured = {linear.name: linear.measured_sparsity() for linears in blocks.values() for linear in linears}
    report = PruneReport(method, settings.relevant(found), masks, measured, calibration)
    if distributed:
        require_equal_masks(report.mask_hash, next(model.parameters()).device)
    return report


def _prune_calibrated(
    model: nn.Module,
    blocks: Mapping[int, Sequence[PrunableLinear]],
    method: Method,
    settings: PruneSettings,
    tokens: CalibrationTokens,
    distributed: bool,
) -> dict[str, Tensor]:
    sequences, device = tokens.input_ids.shape[0], next(model.parameters()).device
    size = 1 if settings.selection == "reference" else settings.batch_size
    shared = distributed and settings.selection == "exact"
    batches = split_batches(sequences, size)
    own = tokens.take(own_batches(batches) if shared else batches, device)
    layers = decoder_layers(model, family_of(model))
    runner = BlockRunner(model, layers, own.input_ids, attention_mask=own.attention_mask, batch_size=size)
    keep = keeper(settings.selection, settings.sparsity)
    sequential = settings.statistics == "sequential"
    masks: dict[str, Tensor] = {}
    for index, linears in blocks.items():
        gathered = BlockStatistics(linears, SquareSums if settings.selection == "exact" else RunningMeanSquares)
        _gather(runner, index, gathered, own.tau, advance=not sequential)
        if shared:
            sum_together(gathered.additive())
        masks |= _prune_block(linears, method, gathered.results(sequences), keep)
        if sequential and index + 1 < len(layers):  # nobody needs the last block's outputs
            runner.run(index, advance=True)
        logger.info("pruned block %d of %d", index + 1, len(layers))
    return masks


def _gather(runner: BlockRunner, block: int, gathered: BlockStatistics, tau: Tensor | None, *, advance: bool) -> None:
    with gathered.gathering(outputs_dropped=not advance) as begin:

        def on_batch(batch: slice) -> None:
            weights = None if tau is None else tau[batch]
            begin((batch.stop - batch.start, runner.hidden.shape[1]), weights)

        runner.run(block, advance=advance, on_batch=on_batch)


def _prune_block(
    linears: Iterable[PrunableLinear], method: Method, stats: Mapping[str, LayerStats], keep: Keep
) -> dict[str, Bool[Tensor, "rows columns"]]:
    """Prune one block in place and return its masks, stored orientation, on the CPU."""
    masks = {}
    for linear in linears:
        decision = method.prune(linear.weight, stats.get(linear.name), keep)
        if decision.weight is not None:
            linear.write(linear.orient(decision.weight))
        kept = linear.orient(decision.kept).contiguous()
        linear.keep(kept)
        masks[linear.name] = kept.cpu()
    return masks


def _vocabulary(model: nn.Module) -> int:
    embedding: nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]  # any Hugging Face model has it
    return embedding.num_embeddings
