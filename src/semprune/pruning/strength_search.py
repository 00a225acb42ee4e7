"""Tries strengths side by side: one pass over the dense blocks prunes each block with every strength.

Text that is held out of the statistics goes through every version: no model is pruned as a whole, and of a streamed one
a single block is in memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from semprune.backbones.blocks.runner import BlockRunner
from semprune.errors import SettingError
from semprune.pruning.block_pruner import BlockPruner
from semprune.pruning.calibration import CalibrationTokens, TokenWeights
from semprune.pruning.guidance.fisher import Fisher, WeighedText
from semprune.pruning.guidance.guide import Guide
from semprune.pruning.guidance.protected_text import ProtectedText, ScoredBatch
from semprune.pruning.guidance.sharing import Sharing, sequences, share
from semprune.pruning.guidance.strength import AUTO, CANDIDATES, StrengthChoice, Tried
from semprune.pruning.method import Method
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.combined import combined
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import LayerStats

MOST_SEQUENCES = 32
"""Calibration sequences that the search looks at (ours)."""
EVERY = 4
"""Of them, and of the batches of what is protected, every fourth is held out (ours)."""


class Site(Protocol):
    """A dense model whose blocks can be run one after the other: in memory, or streamed."""

    def guide(self, tokens: CalibrationTokens, tau: TokenWeights | None, strength: float) -> Guide:
        """Embed text that statistics are gathered of."""

    def held(self, tokens: CalibrationTokens) -> BlockRunner:
        """Embed text that is held out; all of it on every rank, and in memory."""

    def block(self, index: int) -> AbstractContextManager[object]:
        """Hold the weights of a block in memory; afterwards what reads its outputs is ready."""

    def head(self) -> AbstractContextManager[object]:
        """Hold what is behind the blocks in memory."""


def search_strength(
    site: Site,
    blocks: Mapping[int, Sequence[PrunableLinear]],
    method: Method,
    settings: PruneSettings,
    tokens: CalibrationTokens,
    texts: Sequence[WeighedText],
    general: Fisher | None,
) -> StrengthChoice:
    """Choose the strength of what is to be kept; inside :func:`semprune.backbones.blocks.runner.calibrating`.

    Statistics are those of the dense model, and no block has what OWL would give it, whatever the pruning's own are.

    Args:
        site: The model, dense; its weights are as before when this returns.
        blocks: Its matrices.
        method: How it is pruned.
        settings: How much, and what protections allow.
        tokens: The calibration: a quarter of its sequences measures the perplexity.
        texts: What is to be kept. Of each, every fourth batch measures what is kept; one of a single batch measures
            itself.
        general: How much of general text hangs on each matrix; None where they do not share the sparsity.

    Raises:
        SettingError: There are fewer than four calibration sequences.
        ProtectionBudgetError: No strength is within the budget.
    """
    learned, held = split_tokens(tokens)
    split = [split_text(text, fisher.tokens) for text, fisher in texts]
    calibration = site.guide(learned, learned.tau, 1.0)
    guides = [site.guide(text.tokens, tau, text.strength if text.strength != AUTO else 0.0) for text, tau, _ in split]
    ruler = _Ruler(site, held, [text for _, _, text in split])
    versions = {strength: ruler.begin() for strength in (None, 0.0, *CANDIDATES)}  # None: dense
    pruner = BlockPruner(method, settings)
    # without a protection nothing is shared; what hangs on an output, a number each, knows of held-out text too
    sharing = {strength: share(general, texts, strength) if strength else Sharing() for strength in versions}
    sizes = {linear.name: linear.stored.numel() for linears in blocks.values() for linear in linears}
    shares = {strength: own.sparsities(sizes, settings.keep.sparsity) for strength, own in sharing.items()}
    for index, linears in blocks.items():
        with site.block(index):
            advance = index + 1 < len(blocks)
            own, *kept = (_gather(each, index, linears, advance=advance) for each in (calibration, *guides))
            dense = [linear.stored.clone() for linear in linears]
            for strength, states in versions.items():
                if strength is not None:
                    pruner.outputs, pruner.allocation = sharing[strength].outputs, shares[strength]
                    pruner.decide(linears, _together(own, guides, kept, strength))
                ruler.run(index, states)
                for linear, weight in zip(linears, dense, strict=True):
                    linear.write(weight)
    with site.head():
        before, *tried = [ruler.measure(strength or 0.0, states) for strength, states in versions.items()]
    return StrengthChoice.of(before, tried, min(each.budget for each in settings.protect if each.strength == AUTO))


def split_tokens(tokens: CalibrationTokens) -> tuple[CalibrationTokens, CalibrationTokens]:
    """Return sequences that are learned from, and those that are held out.

    Raises:
        SettingError: There are fewer than four.
    """
    rows = torch.arange(min(len(tokens.input_ids), MOST_SEQUENCES))
    held = rows % EVERY == EVERY - 1
    if not held.any():
        raise SettingError("protect.strength", AUTO, f"a number where there are fewer than {EVERY} sequences")
    return tokens.mapped(lambda part: part[rows[~held]]), tokens.mapped(lambda part: part[rows[held]])


def split_text(
    text: ProtectedText, tau: Mapping[str, Tensor]
) -> tuple[ProtectedText, dict[str, Tensor], ProtectedText]:
    """Return what of a text is learned from, with its weights, and what is held out."""
    places = range(len(text.batches))
    held = [place for place in places if place % EVERY == EVERY - 1] or [places[-1]]
    learned = [place for place in places if place not in held] or held
    ends = torch.tensor([0, *(len(batch.input_ids) for batch in text.batches)]).cumsum(0).tolist()
    rows = torch.cat([torch.arange(ends[place], ends[place + 1]) for place in learned])
    first, rest = (replace(text, batches=tuple(text.batches[place] for place in own)) for own in (learned, held))
    longest = first.tokens.input_ids.shape[1]
    return first, {name: weights[rows.to(weights.device), :longest] for name, weights in tau.items()}, rest


def _gather(guide: Guide, index: int, linears: Sequence[PrunableLinear], *, advance: bool) -> dict[str, LayerStats]:
    return guide.gatherer.gather(guide.runner, index, linears, guide.tau, advance=advance)


def _together(
    general: Mapping[str, LayerStats],
    guides: Sequence[Guide],
    kept: Sequence[Mapping[str, LayerStats]],
    strength: float,
) -> Mapping[str, LayerStats]:
    """General statistics with those of what is to be kept; a guide without a strength of its own has this one."""
    found = dict(general)
    for guide, own in zip(guides if strength else (), kept, strict=bool(strength)):
        for name in found.keys() & own.keys():
            found[name] = combined(found[name], own[name], guide.strength or strength)
    return found


class _Ruler:
    """Held-out text, which goes through every version of each block."""

    def __init__(self, site: Site, general: CalibrationTokens, texts: Sequence[ProtectedText]) -> None:
        self._general, self._texts = general, texts
        self._runners = [site.held(tokens) for tokens in (general, *(text.tokens for text in texts))]

    def begin(self) -> list[Tensor]:
        """The states of one version before the first block."""
        return [runner.hidden[slice(0, runner.hidden.shape[0])].clone() for runner in self._runners]

    def run(self, index: int, states: Sequence[Tensor]) -> None:
        """Run a version of a block: its states become those behind it."""
        for runner, own in zip(self._runners, states, strict=True):
            runner.hidden = own
            runner.run(index, advance=True)

    def measure(self, strength: float, states: Sequence[Tensor]) -> Tried:
        """What a version does to the held-out text, from the states behind its last block."""
        every = zip(self._runners[1:], self._texts, states[1:], strict=True)
        kept = [self._score(*each) for each in every if each[1].strength == AUTO]
        return Tried(strength, self._perplexity(states[0]), sum(kept) / len(kept))

    def _perplexity(self, states: Float[Tensor, "sequences tokens width"]) -> float:
        total = count = 0.0
        for row, batch in enumerate(sequences(self._general)):  # of one at a time logits are in memory
            total -= self._batch_score(self._runners[0], batch, states[row : row + 1])
            count += len(batch.places[0])
        return math.exp(total / count)

    def _score(self, runner: BlockRunner, text: ProtectedText, states: Float[Tensor, "rows tokens width"]) -> float:
        total, first = 0.0, 0
        for batch in text.batches:
            rows, length = batch.input_ids.shape
            total += self._batch_score(runner, batch, states[first : first + rows, :length])
            first += rows
        return total / sum(batch.count for batch in text.batches)

    @staticmethod
    def _batch_score(runner: BlockRunner, batch: ScoredBatch, states: Float[Tensor, "rows tokens width"]) -> float:
        ids, mask = batch.input_ids.to(states.device), batch.attention_mask.to(states.device)
        return float(batch.score(runner.logits(states, ids, mask, batch.places)))
