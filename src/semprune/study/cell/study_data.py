"""The data that all cells of a study share, read and tokenised once per process."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from jaxtyping import Int
from torch import Tensor

from semprune.artefacts import Cell, split_calibration
from semprune.backbones import Backbone
from semprune.backbones.own_text import own_text
from semprune.concepts import load_concepts
from semprune.data import CalibrationDataModule, DocumentDataModule, load_items
from semprune.data.batches.batching import EncodedItem
from semprune.data.batches.scorable import ScorableItems, encode_items
from semprune.data.batches.special_tokens import start_tokens, window_prefix
from semprune.data.calibration.text import calibration_text
from semprune.data.hashes import hash_contents, hash_items
from semprune.study.association import fit_documents
from semprune.study.cell.screening import Screening
from semprune.study.config.schema import StudyConfig
from semprune.study.store.addresses import Addresses, Draw
from semprune.types import DocumentBatch, Item


@dataclass
class StudyData:
    """A study's items, documents, text and calibration sequences, for one backbone.

    Attributes:
        config: The study.
        lm: Its model, whose tokenizer is used; dense when its screening is first asked for.
        reads_only: Whether nothing is scored, screening items neither.
    """

    config: StudyConfig
    lm: Backbone
    reads_only: bool = False
    _calibrations: dict[tuple[Draw, bool | None], CalibrationDataModule] = field(default_factory=dict)
    _hashes: dict[Hashable, str] = field(default_factory=dict)

    @cached_property
    def documents(self) -> DocumentDataModule:
        """The fitting data sets' documents."""
        data = fit_documents(self.config.fit, self.lm)
        data.setup()
        return data

    @cached_property
    def held_out(self) -> list[DocumentBatch]:
        """Held-out documents in batches, on the model's device."""
        batches = self.documents.val_dataloader()
        return [self.documents.transfer_batch_to_device(batch, self.lm.device, 0) for batch in batches]

    @property
    def text(self) -> Int[Tensor, "sequences tokens"]:
        """Sequences for the perplexity."""
        return self.text_windows.calibration_input_ids()

    @property
    def text_windows(self) -> CalibrationDataModule:
        """The module of these sequences."""
        text = self.config.text
        return self._windows((text.calibration, text.sequences, text.length, 0), text.add_bos)

    @cached_property
    def screening(self) -> Screening | None:
        """What the dense model answers to the items that are kept back; None where the study does not screen."""
        if self.config.screening is None:
            return None
        addresses = Addresses.of(self.config, self.lm, self)
        return Screening(self.config, self.config.screening, self.lm, addresses, self.reads_only)

    @cached_property
    def scorable(self) -> dict[str, ScorableItems]:
        """Every data set's items that can be scored, and those that cannot."""
        return {name: self._encode(self._asked(name)) for name in self.config.datasets}

    def items(self, dataset: str) -> str:
        """Hash of a data set's items, with the token ids that are scored."""
        return self._hash(dataset, lambda: self.datasets[dataset])

    def screened(self, dataset: str) -> str:
        """Hash of a data set's screening items, with the token ids that are scored."""
        assert self.screening is not None  # asked by a study that screens
        screening = self.screening
        return self._hash(("screening", dataset), lambda: screening.items[dataset].items)

    def fitted(self) -> str:
        """Hash of the documents that are fitted on and held out, and of the concepts."""
        documents, names = self.documents, self.config.fit.concepts
        return self._hash((), lambda: [documents.train_documents, documents.val_documents, load_concepts(names)])

    def sequences(self, draw: Draw, add_bos: bool | None) -> str:
        """Hash of calibration sequences; what a model writes itself follows from the model, and is not asked for."""
        data = self._windows(draw, add_bos)
        if all(spec.made != "generated" for spec, _ in data.parts):
            data.setup()
            return data.token_hash
        texts = (spec for spec, _ in data.parts if spec.made is None)
        prefix = window_prefix(self.lm.tokenizer, add_bos)
        return self._hash((draw, add_bos), lambda: [prefix, *map(calibration_text, texts)])

    def _hash(self, key: Hashable, read: Callable[[], Iterable[object]]) -> str:
        if key not in self._hashes:
            self._hashes[key] = hash_contents(read())
        return self._hashes[key]

    @property
    def datasets(self) -> dict[str, tuple[EncodedItem, ...]]:
        """Encoded items of every data set."""
        return {name: scorable.items for name, scorable in self.scorable.items()}

    @property
    def left_out(self) -> dict[str, dict[str, list[str]]]:
        """Identifiers of the items that cannot be scored, by data set and prompt."""
        return {name: found for scorable in self.scorable.values() for name, found in scorable.listed.items()}

    @property
    def items_hash(self) -> str:
        """SHA-256 of all items."""
        return hash_items(encoded.item for dataset in self.datasets.values() for encoded in dataset)

    def calibration(self, draw: Draw) -> CalibrationDataModule:
        """Calibration sequences; ask for those that the model writes itself while it is dense."""
        return self._windows(draw, self.config.calibration_add_bos)

    def read_all(self, cells: Sequence[Cell]) -> None:
        """Read everything that some cells need: what is wrong with data shows before anything is computed.

        Raises:
            SempruneError: Of the kind of what is wrong.
        """
        for draw in dict.fromkeys(cell.draw for cell in cells if cell.calibration):
            self.calibration(draw).setup()
        _ = self.documents, self.text, self.datasets
        if self.config.causal is not None:
            causal = self.config.causal
            self._encode(load_items(causal.dataset, limit=causal.limit, screening=self.config.screened))

    def _windows(self, draw: Draw, add_bos: bool | None) -> CalibrationDataModule:
        key = draw, add_bos
        if key not in self._calibrations:
            text, *rest = draw
            module = CalibrationDataModule(split_calibration(text)[0], *rest, add_bos=add_bos).bind(self.lm)
            module.writer = lambda sequences, length, seed: own_text(
                self.lm, sequences, length, seed, start_tokens(self.lm.tokenizer)
            )
            self._calibrations[key] = module
        return self._calibrations[key]

    def _asked(self, name: str) -> list[Item]:
        config, tokenizer = self.config, self.lm.tokenizer
        prompt = config.prompt if self.screening is None else self.screening.prompt(name)
        return load_items(
            name, limit=config.limit, prompt=prompt, shots=config.shots, chat=config.chat, tokenizer=tokenizer,
            screening=config.screened,
        )  # fmt: skip

    def _encode(self, items: Sequence[Item]) -> ScorableItems:
        return encode_items(self.lm.tokenizer, items, self.lm.max_length)
