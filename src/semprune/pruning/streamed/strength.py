"""The strength of what is to be kept in a streamed model: one more pass over the dense blocks, before any is pruned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from semprune.backbones.blocks.runner import BlockRunner
from semprune.backbones.streamed import StreamedModel
from semprune.io.files import write_json
from semprune.pruning.calibration import CalibrationTokens, TokenWeights
from semprune.pruning.guidance.fisher import Fisher, WeighedText
from semprune.pruning.guidance.guide import Guide
from semprune.pruning.guidance.strength import StrengthChoice
from semprune.pruning.method import Method
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import Gatherer
from semprune.pruning.streamed.hidden_states import StreamedInputs
from semprune.pruning.streamed.memory_estimate import return_free_memory
from semprune.pruning.strength_search import search_strength
from semprune.pruning.weights.linear import prunable_linears


def streamed_strength(
    streamed: StreamedModel,
    method: Method,
    settings: PruneSettings,
    tokens: CalibrationTokens,
    texts: Sequence[WeighedText],
    general: Fisher | None,
    work: Path,
) -> StrengthChoice:
    """Choose the strength; taken from the work folder where an earlier call of the run left it.

    Raises:
        SettingError: There are too few calibration sequences to choose on.
        ProtectionBudgetError: No strength is within the budget.
    """
    kept = work / "strength.json"
    if not kept.is_file():
        folder = work / "strengths"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        site = _StreamedSite(streamed, method, settings, folder)
        choice = search_strength(site, prunable_linears(streamed.model), method, settings, tokens, texts, general)
        write_json(kept, choice.record())
        shutil.rmtree(folder)
    return StrengthChoice.from_record(json.loads(kept.read_text(encoding="utf-8")))


class _StreamedSite:
    """A streamed model, for the search of a strength: what is learned from is on the disk."""

    def __init__(self, streamed: StreamedModel, method: Method, settings: PruneSettings, folder: Path) -> None:
        self._streamed, self._method, self._settings, self._folder = streamed, method, settings, folder
        self._carried: list[StreamedInputs] = []

    def guide(self, tokens: CalibrationTokens, tau: TokenWeights | None, strength: float) -> Guide:
        place = self._folder / str(len(self._carried))
        place.mkdir()
        inputs = StreamedInputs(self._streamed, tokens, self._settings, place, 0, short=True)
        self._carried.append(inputs)
        gatherer = Gatherer(self._method.needs, "exact", len(tokens.input_ids), keep_unrouted=True)
        own: TokenWeights | None = inputs.tokens.tau
        if isinstance(tau, Mapping):
            own = {name: weights.to(self._streamed.device) for name, weights in tau.items()}
        return Guide(inputs.runner, own, gatherer, strength)

    def held(self, tokens: CalibrationTokens) -> BlockRunner:
        own = tokens.take([slice(0, len(tokens.input_ids))], self._streamed.device)
        streamed, size = self._streamed, self._settings.forward_size
        with streamed.around_blocks(), streamed.block(0):
            mask = own.attention_mask
            return BlockRunner(streamed.model, streamed.blocks, own.input_ids, attention_mask=mask, batch_size=size)

    @contextmanager
    def block(self, index: int) -> Iterator[None]:
        with self._streamed.block(index):
            yield
        for inputs in self._carried:
            inputs.settle(index)
            inputs.drop(index)
        return_free_memory()

    def head(self) -> AbstractContextManager[None]:
        return self._streamed.outside_blocks()
