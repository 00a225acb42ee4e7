"""What is to be kept in a model that is in memory: its text, its weights, and its way through the blocks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from torch import nn

from semprune.backbones.backbone import Backbone
from semprune.backbones.blocks.runner import BlockRunner
from semprune.backbones.loading.load import load_tokenizer
from semprune.data.subject import subject_of
from semprune.errors import ConfigurationError
from semprune.pruning.calibration import CalibrationTokens, TokenWeights
from semprune.pruning.guidance.fisher import Fisher, WeighedText, fisher_weights
from semprune.pruning.guidance.guide import Guide
from semprune.pruning.guidance.protected_text import ProtectedText
from semprune.pruning.guidance.reading import read_protected
from semprune.pruning.guidance.sharing import general_text
from semprune.pruning.guidance.strength import AUTO, StrengthChoice
from semprune.pruning.in_memory.calibration_pass import Blocks, CalibrationPass
from semprune.pruning.method import Method, Needs
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import Gatherer
from semprune.pruning.strength_search import search_strength

logger = logging.getLogger(__name__)


def protected_texts(model: Any, settings: PruneSettings, tokenizer: Any = None) -> tuple[ProtectedText, ...]:
    """Read the text of what settings protect; nothing is read where they protect nothing.

    Args:
        model: The backbone, or the model in memory.
        settings: With what is to be kept.
        tokenizer: Of a bare model; None reads it where the model was loaded from.

    Raises:
        ConfigurationError: The tokenizer is not known.
        SempruneError: The text cannot be had.
    """
    if not settings.protect:
        return ()
    if tokenizer is None and not isinstance(model, Backbone):
        name = str(getattr(model, "name_or_path", ""))
        if not name or not Path(name).is_dir():
            raise ConfigurationError(f"{type(model).__name__} has no tokenizer to read with. Pass `tokenizer`.")
        tokenizer = load_tokenizer(name, Path(name))
    subject = subject_of(model, tokenizer)
    return read_protected(settings.protect, subject.tokenizer, subject.max_length)


def weigh(
    model: nn.Module, blocks: Blocks, texts: Sequence[ProtectedText], *, distributed: bool
) -> tuple[WeighedText, ...]:
    """Return the weights of every text's tokens in the dense model; inside ``calibrating``."""
    linears = list(chain.from_iterable(blocks.values()))
    return tuple(WeighedText(text, fisher_weights(model, linears, text, distributed=distributed)) for text in texts)


def weigh_general(model: nn.Module, blocks: Blocks, tokens: CalibrationTokens, *, distributed: bool) -> Fisher:
    """Return how much of general text hangs on each matrix of the dense model; inside ``calibrating``."""
    linears = list(chain.from_iterable(blocks.values()))
    return fisher_weights(model, linears, general_text(tokens), distributed=distributed)


def choose_strength(
    model: nn.Module,
    blocks: Blocks,
    method: Method,
    settings: PruneSettings,
    tokens: CalibrationTokens,
    texts: Sequence[WeighedText],
    general: Fisher | None,
    *,
    distributed: bool,
) -> tuple[tuple[WeighedText, ...], StrengthChoice | None]:
    """Return the texts with a strength that was chosen where none was given, and the choice; inside ``calibrating``.

    Raises:
        SettingError: There are too few calibration sequences to choose on.
        ProtectionBudgetError: No strength is within the budget.
    """
    if all(each.text.strength != AUTO for each in texts):
        return tuple(texts), None
    site = _MemorySite(model, settings, method.needs, distributed)
    choice = search_strength(site, blocks, method, settings, tokens, texts, general)
    logger.info("\n".join(choice.lines()))
    return tuple(each._replace(text=each.text.chosen(choice)) for each in texts), choice


@dataclass(frozen=True, slots=True)
class _MemorySite:
    """A model in memory, for the search of a strength."""

    model: nn.Module
    settings: PruneSettings
    needs: Needs
    distributed: bool

    def guide(self, tokens: CalibrationTokens, tau: TokenWeights | None, strength: float) -> Guide:
        model, settings = self.model, self.settings
        run = CalibrationPass.start(model, tokens, settings, distributed=self.distributed, tau=tau, short=True)
        gatherer = Gatherer(self.needs, "exact", run.sequences, shared=run.shared, keep_unrouted=True)
        return Guide(run.runner, run.tau, gatherer, strength)

    def held(self, tokens: CalibrationTokens) -> BlockRunner:
        return CalibrationPass.start(self.model, tokens, self.settings, distributed=False).runner

    def block(self, index: int) -> AbstractContextManager[None]:
        return nullcontext()

    def head(self) -> AbstractContextManager[None]:
        return nullcontext()


def start_guides(
    model: nn.Module, texts: Sequence[WeighedText], settings: PruneSettings, needs: Needs, *, distributed: bool
) -> tuple[Guide, ...]:
    """Embed the texts; inside ``calibrating``."""
    guides = []
    for each in texts:
        run = CalibrationPass.start(
            model, each.text.tokens, settings, distributed=distributed, tau=each.fisher.tokens, short=True
        )
        gatherer = Gatherer(needs, "exact", run.sequences, shared=run.shared, keep_unrouted=True)
        guides.append(Guide(run.runner, run.tau, gatherer, each.text.number))
    return tuple(guides)
