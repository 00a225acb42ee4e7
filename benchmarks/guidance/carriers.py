"""Statistics of general text and of what guides: gathered once, they lie on the disk for all that use them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from benchmarks.guidance.settings import Settings
from safetensors import safe_open
from torch import Tensor

from semprune.backbones import Backbone
from semprune.backbones.blocks.runner import calibrating
from semprune.data import CalibrationDataModule
from semprune.io.tensor_files import write_safetensors
from semprune.pruning.calibration import CalibrationTokens
from semprune.pruning.guidance.controls import Weights, controlled
from semprune.pruning.guidance.fisher import fisher_weights
from semprune.pruning.guidance.protected_text import ProtectedText, ScoredBatch
from semprune.pruning.guidance.protection import Protection
from semprune.pruning.guidance.reading import read_protected
from semprune.pruning.guidance.scores import words_logprob
from semprune.pruning.in_memory.calibration_pass import CalibrationPass, checked_blocks
from semprune.pruning.method import Needs
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import Gatherer
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import LayerStats

DENSE = PruneSettings(0.0, statistics="dense")
TOGETHER = 4
"""Windows of general text that are scored together: a logit for every word of the vocabulary is in memory for each."""


class Carriers:
    """Of one draw.

    Args:
        lm: The model, dense.
        settings: What guides.
        draw: Which sequences and items.
    """

    def __init__(self, lm: Backbone, settings: Settings, draw: int) -> None:
        """Nothing is gathered yet."""
        self._lm, self._settings, self._draw = lm, settings, draw
        self._folder = settings.output / f"statistics-{draw}"
        self._blocks = checked_blocks(lm.model, DENSE)

    def statistics(self, carrier: str, needs: Needs) -> dict[str, LayerStats]:
        """What the dense model's matrices read of a carrier's own text; squares are a tenth of the work of moments."""
        path = self._folder / f"{carrier}-{needs}.safetensors"
        if not path.is_file():
            write_statistics(path, self._gather(carrier, needs))
        return read_statistics(path)

    def rows(self, source: str) -> dict[str, Tensor]:
        """Fisher information of every output row, by the matrix's name: ``lm`` or ``task``."""
        return self._fisher({"lm": "general", "task": "protect"}[source])[1]

    def _gather(self, carrier: str, needs: Needs) -> dict[str, LayerStats]:
        if carrier == "generic":
            ids = self._general()
            return self._run(CalibrationTokens(ids, None, None), None, needs)
        text = self._text("wrong" if carrier == "wrong" else "protect")
        tokens = text.tokens
        if carrier == "task":
            return self._run(tokens, None, needs)
        weights = self._fisher("wrong" if carrier == "wrong" else "protect")[0]
        kind: Weights = {"place": "place", "permuted": "permuted"}.get(carrier, "fisher")  # type: ignore[assignment]
        return self._run(tokens, controlled(weights, text.mask, kind), needs)

    def _run(self, tokens: CalibrationTokens, tau: Mapping[str, Tensor] | None, needs: Needs) -> dict[str, LayerStats]:
        found: dict[str, LayerStats] = {}
        with calibrating(self._lm.model):
            run = CalibrationPass.start(self._lm.model, tokens, DENSE, distributed=False, tau=tau)
            gatherer = Gatherer(needs, "exact", run.sequences)
            for index, linears in self._blocks.items():
                advance = index + 1 < len(self._blocks)
                found |= gatherer.gather(run.runner, index, linears, run.tau, advance=advance)
        return found

    def _general(self) -> Tensor:
        settings = self._settings
        module = CalibrationDataModule(settings.calibration, settings.sequences, settings.length, seed=self._draw)
        return module.bind(self._lm).calibration_input_ids()

    def _text(self, which: str) -> ProtectedText:
        if which == "general":
            windows = self._general().split(TOGETHER)
            return ProtectedText("general", 1.0, tuple(map(_scored, windows)))
        name = getattr(self._settings, which)
        asked = Protection(name, items=self._settings.guiding, seed=self._draw)
        return read_protected([asked], self._lm.tokenizer, self._lm.max_length)[0]

    def _fisher(self, which: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights of tokens, and of rows, by the matrix's name."""
        path = self._folder / f"weights-{which}.safetensors"
        if not path.is_file():
            linears = list(chain.from_iterable(self._blocks.values()))
            with calibrating(self._lm.model), row_squares(linears) as rows:
                weights = fisher_weights(self._lm.model, linears, self._text(which))
            path.parent.mkdir(parents=True, exist_ok=True)
            tokens = {f"tokens.{name}": value for name, value in weights.items()}
            write_safetensors(path, tokens | {f"rows.{name}": value for name, value in rows.items()}, {})
        found: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118  # no mapping
                kind, _, name = key.partition(".")
                found[kind == "rows"][name] = file.get_tensor(key)
        return found


def _scored(windows: Tensor) -> ScoredBatch:
    counted = torch.ones_like(windows, dtype=torch.bool)
    return ScoredBatch(windows, torch.ones_like(windows), partial(words_logprob, input_ids=windows, counted=counted))


@contextmanager
def row_squares(linears: Sequence[PrunableLinear]) -> Iterator[dict[str, Tensor]]:
    """Sum the squares of the gradients at every output row of every matrix over all tokens of backward passes."""
    found = {linear.name: torch.zeros(linear.weight.shape[0]) for linear in linears}

    def add(name: str, gradient: Tensor) -> None:
        found[name] += gradient.square().flatten(0, -2).sum(0)

    def watch(name: str, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(partial(add, name))

    def hook(name: str) -> partial[None]:
        return partial(lambda name, _module, _args, output: watch(name, output), name)

    handles = [linear.module.register_forward_hook(hook(linear.name)) for linear in linears]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def write_statistics(path: Path, stats: Mapping[str, LayerStats]) -> None:
    """Write statistics; those that matrices share once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first: dict[int, str] = {}
    owner = {name: first.setdefault(id(each), name) for name, each in stats.items()}
    tensors: dict[str, Tensor] = {}
    counts: dict[str, list[float]] = {}
    for name in dict.fromkeys(owner.values()):
        tensors[f"squares.{name}"] = stats[name].sum_squares
        if (moments := stats[name].second_moments) is not None:
            tensors[f"moments.{name}"] = moments
        counts[name] = [stats[name].tokens, stats[name].sequences]
    write_safetensors(path, tensors, {"owner": json.dumps(owner), "counts": json.dumps(counts)})


def read_statistics(path: Path) -> dict[str, LayerStats]:
    """Read them; matrices that shared theirs do so again."""
    with safe_open(path, "pt") as file:
        header, stored = file.metadata(), set(file.keys())

        def moments(name: str) -> Tensor | None:
            return file.get_tensor(f"moments.{name}") if f"moments.{name}" in stored else None

        own = {
            name: LayerStats(file.get_tensor(f"squares.{name}"), tokens, sequences, None, moments(name))
            for name, (tokens, sequences) in json.loads(header["counts"]).items()
        }
        return {name: own[key] for name, key in json.loads(header["owner"]).items()}
