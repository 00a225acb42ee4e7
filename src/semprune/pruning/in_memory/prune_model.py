"""Prunes a causal language model in place."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from semprune.backbones.backbone import Backbone
from semprune.backbones.blocks.runner import calibrating
from semprune.io.distributed import distributed as several_ranks
from semprune.pruning.block_pruner import BlockPruner, PrunedBlocks
from semprune.pruning.calibration import CalibrationTokens, check_calibration, hash_calibration
from semprune.pruning.guidance.fisher import WeighedText
from semprune.pruning.guidance.protected_text import with_texts
from semprune.pruning.guidance.protection import Protect, protections
from semprune.pruning.guidance.sharing import Sharing, share
from semprune.pruning.in_memory.calibration_input import bare_model, sequences_of
from semprune.pruning.in_memory.calibration_pass import Blocks, CalibrationPass, checked_blocks, vocabulary
from semprune.pruning.in_memory.dense_statistics import allocate, collect, sizes_of
from semprune.pruning.in_memory.guiding import choose_strength, protected_texts, start_guides, weigh, weigh_general
from semprune.pruning.method import Method
from semprune.pruning.report import PruneReport
from semprune.pruning.settings import PruneSettings, check_settings, check_token_weights
from semprune.pruning.statistics.gathering import require_equal_masks
from semprune.types import Count, Sparsity

logger = logging.getLogger(__name__)


def prune_model(
    model: nn.Module | Backbone,
    input_ids: Int[Tensor, "sequences tokens"] | str | Sequence[Any] | Mapping[str, Any] | None,
    *,
    method: str,
    sparsity: Sparsity | None = None,
    pattern: str | None = None,
    attention_mask: Int[Tensor, "sequences tokens"] | None = None,
    selection: str = PruneSettings.selection,
    statistics: str = PruneSettings.statistics,
    allocation: str = PruneSettings.allocation,
    batch_size: Count = PruneSettings.batch_size,
    token_weights: Float[Tensor, "sequences tokens"] | None = None,
    distributed: bool = False,
    unrouted: str = PruneSettings.unrouted,
    protect: Protect = None,
    tokenizer: Any = None,
    **options: Any,
) -> PruneReport:
    """Prune every linear of the decoder blocks in place; embeddings, head, norms and biases stay as they are.

    Settings, weights and calibration sequences are checked before anything is changed. Activations can only be
    checked on the way: where they turn out not finite, earlier blocks are pruned already. Source: equations.md.

    Args:
        model: A backbone, or any Hugging Face causal language model of a known family.
        input_ids: Calibration sequences: token ids, texts (each is a sequence, no longer than the model reads) or a
            tokenizer's encoding of texts; None for a method that looks at no data (magnitude).
        method: Name of a method in :mod:`semprune.pruning.methods`.
        sparsity: Share of each matrix's weights to set to zero. Either this or ``pattern``.
        pattern: ``N:M`` keeps N weights of each M consecutive inputs of an output: 2:4 keeps two of four.
        attention_mask: 1 for tokens, 0 for padding on either side; padding never counts. None: no padding.
        selection: ``exact`` or ``reference``, see :class:`~semprune.pruning.settings.PruneSettings`.
        statistics: ``sequential`` or ``dense``, and
        allocation: ``uniform`` or ``owl``, see the same.
        batch_size: Sequences per forward.
        token_weights: Weights of the tokens in the statistics, 1 everywhere where None. Source: equations.md G1.
        distributed: Every rank of the default process group makes this call with the same sequences and gets the
            same masks; each runs its share of the batches (all of them with ``reference`` selection).
        unrouted: ``refuse`` or ``keep`` experts that no calibration token is routed to, see the same settings.
        protect: What is to be kept: names, such as ``sentiment``, or
            :class:`~semprune.pruning.guidance.protection.Protection`. Source: equations.md G2.
        tokenizer: Of a bare model, where texts are given or something is protected; a backbone has its own. None where
            something is protected: that of the folder the model was loaded from.
        options: Options of the method, which its file describes, and of the allocation.

    Raises:
        UnknownMethodError: There is no such method.
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another argument has a value it cannot have, or a matrix's inputs are not whole runs of M.
        ConfigurationError: Texts are given, and no tokenizer is known.
        EmptyCalibrationError: The method looks at data and there is no token.
        NonFiniteError: A weight or an activation is NaN or infinite; names the matrix.
        SempruneError: The model is of no known family, second moments have no inverse, ranks disagree.
    """
    kept = protections(protect)
    settings = PruneSettings(sparsity, selection, statistics, batch_size, pattern, options, allocation, unrouted, kept)
    found = check_settings(method, settings)
    check_token_weights(settings, token_weights)
    bare = bare_model(model)
    blocks = checked_blocks(bare, settings)
    tokens = calibration = None
    if settings.needs(found) != "nothing":
        ids, mask = sequences_of(model, input_ids, attention_mask, tokenizer)
        tokens = check_calibration(ids, mask, token_weights, vocabulary(bare))
        calibration = hash_calibration(tokens.input_ids, tokens.tau)
    texts = protected_texts(model, settings, tokenizer)
    with calibrating(bare):
        protected = weigh(bare, blocks, texts, distributed=distributed)
        general = choice = None
        if tokens is not None and settings.shares:
            general = weigh_general(bare, blocks, tokens, distributed=distributed)
        if tokens is not None:
            given = (bare, blocks, found, settings, tokens, protected, general)
            protected, choice = choose_strength(*given, distributed=distributed)
        sharing = share(general, protected)
        pruned = _prune_blocks(bare, blocks, found, settings, tokens, protected, sharing, distributed)
    report = pruned.report(found.name, with_texts(settings.relevant(found), texts, choice), calibration)
    if distributed and several_ranks():
        require_equal_masks(report.mask_hash, next(bare.parameters()).device)
    return report


def _prune_blocks(
    model: nn.Module,
    blocks: Blocks,
    method: Method,
    settings: PruneSettings,
    tokens: CalibrationTokens | None,
    protected: Sequence[WeighedText],
    sharing: Sharing,
    distributed: bool,
) -> PrunedBlocks:
    pruned = PrunedBlocks()
    allocation = sharing.sparsities(sizes_of(blocks), settings.keep.sparsity)
    if settings.owl is not None:
        assert tokens is not None
        dense = collect(model, blocks, tokens, settings, "squares", distributed=distributed, protected=protected)
        allocation = allocate(blocks, dense, settings.keep.sparsity, settings.owl)
    if tokens is None or not method.needs_statistics:
        pruner = BlockPruner(method, settings, allocation=allocation)
        for linears in blocks.values():
            pruned.add(pruner.decide(linears, {}))
        return pruned
    run = CalibrationPass.start(model, tokens, settings, distributed=distributed)
    guides = start_guides(model, protected, settings, method.needs, distributed=distributed)
    pruner = BlockPruner(
        method,
        settings,
        run.sequences,
        shared=run.shared,
        allocation=allocation,
        guides=guides,
        outputs=sharing.outputs,
    )
    for index, linears in blocks.items():
        pruned.add(pruner.prune(run.runner, index, linears, run.tau, advance=index + 1 < len(blocks)))
        logger.info("pruned block %d of %d", index + 1, len(blocks))
    return pruned
