"""What is to be kept in a model that is in memory: its text, its weights, and its way through the blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from semprune.backbones.backbone import Backbone
from semprune.backbones.loading.load import load_tokenizer
from semprune.data.subject import subject_of
from semprune.errors import ConfigurationError
from semprune.pruning.guidance.fisher import fisher_weights
from semprune.pruning.guidance.guide import Guide
from semprune.pruning.guidance.protected_text import ProtectedText
from semprune.pruning.guidance.reading import read_protected
from semprune.pruning.in_memory.calibration_pass import Blocks, CalibrationPass
from semprune.pruning.method import Needs
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import Gatherer


@dataclass(frozen=True, slots=True)
class WeighedText:
    """The text of what is to be kept, and how much hangs on its tokens.

    Attributes:
        text: The text.
        tau: Weights of its tokens, by the matrix's name.
    """

    text: ProtectedText
    tau: Mapping[str, Tensor]


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


def start_guides(
    model: nn.Module, texts: Sequence[WeighedText], settings: PruneSettings, needs: Needs, *, distributed: bool
) -> tuple[Guide, ...]:
    """Embed the texts; inside ``calibrating``."""
    guides = []
    for each in texts:
        run = CalibrationPass.start(model, each.text.tokens, settings, distributed=distributed, tau=each.tau)
        gatherer = Gatherer(needs, "exact", run.sequences, shared=run.shared, keep_unrouted=True)
        guides.append(Guide(run.runner, each.tau if run.tau is None else run.tau, gatherer, each.text.strength))
    return tuple(guides)
