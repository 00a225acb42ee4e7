"""Prunes a causal language model in place."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.blocks import BlockRunner, calibrating, split_batches
from semprune.backbones.layout import decoder_layers, family_of
from semprune.pruning.block import BlockPruner
from semprune.pruning.block_outcome import BlockOutcome
from semprune.pruning.calibration import CalibrationTokens, check_calibration, hash_calibration
from semprune.pruning.linear import PrunableLinear, check_finite, prunable_linears
from semprune.pruning.method import Method
from semprune.pruning.report import PruneReport
from semprune.pruning.settings import PruneSettings, check_settings, check_token_weights
from semprune.pruning.sharing import own_batches, require_equal_masks
from semprune.ranks import distributed as several_ranks

logger = logging.getLogger(__name__)


def prune_model(
    model: nn.Module,
    input_ids: Int[Tensor, "sequences tokens"] | None,
    *,
    method: str,
    sparsity: float | None = None,
    pattern: str | None = None,
    attention_mask: Int[Tensor, "sequences tokens"] | None = None,
    selection: str = "exact",
    statistics: str = "sequential",
    batch_size: int = 8,
    token_weights: Float[Tensor, "sequences tokens"] | None = None,
    distributed: bool = False,
    **options: Any,
) -> PruneReport:
    """Prune every linear of the decoder blocks in place; embeddings, head, norms and biases stay as they are.

    Nothing is changed before the settings, the weights and the calibration sequences are checked. Activations can
    only be checked on the way: where they turn out not finite, earlier blocks are pruned already, so load the model
    again. Source: SCIENCE §2.

    Args:
        model: A Hugging Face causal language model of a known family.
        input_ids: Calibration sequences; None for a method that looks at no data (magnitude).
        method: Name of a method in :mod:`semprune.pruning.methods`.
        sparsity: Share of each matrix's weights to set to zero. Either this or ``pattern``.
        pattern: ``N:M`` keeps N weights of each M consecutive inputs of an output: 2:4 keeps two of four.
        attention_mask: 1 for tokens, 0 for padding on either side; padding never counts. None: no padding.
        selection: ``exact`` or ``reference``, see :class:`~semprune.pruning.settings.PruneSettings`.
        statistics: ``sequential`` or ``dense``, see the same.
        batch_size: Sequences per forward.
        token_weights: Weights of the tokens in the statistics, 1 everywhere where None. Source: SCIENCE G1.
        distributed: Every rank of the default process group makes this call with the same sequences and gets the
            same masks; each runs its share of the batches (all of them with ``reference`` selection).
        options: Options of the method, which its file describes.

    Raises:
        UnknownMethodError: There is no such method.
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another argument has a value it cannot have, or a matrix's inputs are not whole runs of M.
        EmptyCalibrationError: The method looks at data and there is no token.
        NonFiniteError: A weight or an activation is NaN or infinite; names the matrix.
        UnknownArchitectureError: No family declares the model's class.
        UnprunedMatrixError: A block has a matrix that the family does not name.
        MaskMismatchError: Ranks computed different masks.
    """
    settings = PruneSettings(sparsity, selection, statistics, batch_size, pattern, options)
    found = check_settings(method, settings)
    check_token_weights(settings, token_weights)
    blocks = prunable_linears(model)
    linears = list(chain.from_iterable(blocks.values()))
    settings.check_widths((linear.name, linear.weight.shape[1]) for linear in linears)
    check_finite(linears)
    distributed = distributed and several_ranks()
    tokens = None
    if found.needs_statistics:
        tokens = check_calibration(input_ids, attention_mask, token_weights, _vocabulary(model))
    with calibrating(model):
        outcome = _prune_blocks(model, blocks, found, settings, tokens, distributed)
    calibration = None if tokens is None else hash_calibration(tokens.input_ids, tokens.tau)
    report = outcome.report(method, settings.relevant(found), calibration)
    if distributed:
        require_equal_masks(report.mask_hash, next(model.parameters()).device)
    return report


def _prune_blocks(
    model: nn.Module,
    blocks: Mapping[int, Sequence[PrunableLinear]],
    method: Method,
    settings: PruneSettings,
    tokens: CalibrationTokens | None,
    distributed: bool,
) -> BlockOutcome:
    outcome = BlockOutcome()
    if tokens is None:
        outcome.add(BlockPruner(method, settings).decide(list(chain.from_iterable(blocks.values())), {}))
        return outcome
    shared = distributed and settings.selection == "exact"
    runner, tau = _runner(model, settings, tokens, shared=shared)
    pruner = BlockPruner(method, settings, tokens.input_ids.shape[0], shared=shared)
    for index, linears in blocks.items():
        outcome.add(pruner.prune(runner, index, linears, tau, advance=index + 1 < len(blocks)))
        logger.info("pruned block %d of %d", index + 1, len(blocks))
    return outcome


def _runner(
    model: nn.Module, settings: PruneSettings, tokens: CalibrationTokens, *, shared: bool
) -> tuple[BlockRunner, Tensor | None]:
    """Return what runs this rank's sequences, and the weights of their tokens."""
    size = settings.forward_size
    batches = split_batches(tokens.input_ids.shape[0], size)
    own = tokens.take(own_batches(batches) if shared else batches, next(model.parameters()).device)
    layers = decoder_layers(model, family_of(model))
    return BlockRunner(model, layers, own.input_ids, attention_mask=own.attention_mask, batch_size=size), own.tau


def _vocabulary(model: nn.Module) -> int:
    embedding: nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]  # any Hugging Face model has it
    return embedding.num_embeddings
