"""Calibration: sequences of tokens that a pruning method looks at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader

from semprune.data.batches.batching import EncodedDocument, document_batch
from semprune.data.batches.encoding import padding_token
from semprune.data.batches.sampling import Plan, ShardedBatchSampler, in_order, shuffled
from semprune.data.batches.special_tokens import encode, window_prefix
from semprune.data.calibration.mixtures import parse_mixture, share_sequences
from semprune.data.calibration.text import calibration_text, fetch_calibration
from semprune.data.calibration.windows import behind_prefix, draw_windows, hash_tokens, random_tokens
from semprune.data.modules.tokenized import TokenizedDataModule
from semprune.data.registry import CalibrationSpec, calibration_spec
from semprune.data.rows.sources import Source, check_source
from semprune.errors import ConfigurationError, SettingError
from semprune.ranges import check_value
from semprune.types import Count, DocumentBatch, Length, Seed

Writer = Callable[[int, int, int], Int[Tensor, "sequences length"]]
"""Gives a model's own text: number of sequences, tokens of each, seed."""


class CalibrationDataModule(TokenizedDataModule):
    """Sequences of one calibration set or mixture, for pruning and for fitting on plain text.

    Attributes:
        name: The calibration set, or the mixture as it was written.
        parts: Each set that it is made of, with its share of the sequences.
        writer: Gives text that the model writes itself; set it before ``setup`` where ``self_generated`` is used.
        input_ids: Token ids ``[sequences, length]``, int64; after ``setup``.
        token_hash: Their SHA-256; after ``setup``.
        prefix: The special tokens that each sequence begins with, often BOS or none; after ``setup``.
        datasets: The calibration set's name.
        classes: None: the text has no labels.
    """

    input_ids: Int[Tensor, "sequences length"]
    token_hash: str
    prefix: tuple[int, ...]

    def __init__(
        self,
        calibration: str = "c4",
        sequences: Count = 64,
        length: Length = 512,
        seed: Seed = 0,
        batch_size: Count = 8,
        source: Source = "auto",
        add_bos: bool | None = None,
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            calibration: Calibration set (c4 is what pruning papers use), or a mixture such as c4*0.5+wiki*0.5.
            sequences: Number of sequences; 64 × 512 tokens take a minute on two cores. Papers use 128 × 2048.
            length: Tokens of each sequence, special tokens included.
            seed: Which sequences of the text.
            batch_size: Sequences in a batch over all ranks.
            source: auto (offline package if there is one, else hub), hub or offline.
            add_bos: Whether each sequence begins with BOS: null as the tokenizer begins every text, which is what the
                model was trained with; false never, as the pruning papers cut their windows; true always.

        Raises:
            UnknownCalibrationError: If there is no such calibration set.
            MixtureError: If a mixture's weights are wrong, or a part would give no sequence.
            SettingError: If a number is out of range.
        """
        super().__init__()
        check_source(source)
        check_value("calibration sequences", sequences, Count)
        check_value("calibration length", length, Length)
        check_value("seed", seed, Seed)
        check_value("batch_size", batch_size, Count)
        self.name = calibration
        shares = parse_mixture(calibration)
        self.parts = tuple((calibration_spec(name), weight) for name, weight in shares)
        self.writer: Writer | None = None
        self.sequences, self.length, self.seed, self.batch_size = sequences, length, seed, batch_size
        self._counts = share_sequences(shares, sequences)
        self.source = source
        self.add_bos = add_bos
        self.datasets = (calibration,)
        self.classes: tuple[str, ...] = ()

    def prepare_data(self) -> None:
        """Fetch the packages that are read, once per machine."""
        for spec, _ in self.parts:
            fetch_calibration(spec, self.source)

    def setup(self, stage: str | None = None) -> None:
        """Draw the sequences of every part, once.

        Raises:
            EmptyCalibrationError: If a text is too short.
            SettingError: If a sequence is longer than the model can read, or no longer than its special tokens, or BOS
                is asked for and there is none.
            ConfigurationError: If text of the model's own is asked for and there is no ``writer``.
        """
        if hasattr(self, "input_ids"):
            return
        self.prefix = window_prefix(self.take_tokenizer(), self.add_bos)
        self.check_fits("calibration length", self.length)
        if self.length <= len(self.prefix):
            raise SettingError("calibration length", self.length, f"at least {len(self.prefix) + 1}")
        drawn = [self._draw(spec, count) for (spec, _), count in zip(self.parts, self._counts, strict=True)]
        self.input_ids = behind_prefix(self.prefix, torch.cat(drawn)[self._order()])
        self.token_hash = hash_tokens(self.input_ids)

    def _order(self) -> Int[Tensor, " sequences"]:
        """In any order that part of a mixture comes first which whoever reads a few sequences takes for the whole."""
        order = np.arange(self.sequences)
        return torch.from_numpy(order if len(self.parts) == 1 else np.random.default_rng(self.seed).permutation(order))

    def _draw(self, spec: CalibrationSpec, sequences: int) -> Int[Tensor, "sequences own"]:
        length = self.length - len(self.prefix)
        if spec.made == "random_tokens":
            return random_tokens(self.take_tokenizer(), sequences, length, self.seed)
        if spec.made == "generated":
            if self.writer is None:
                raise ConfigurationError(
                    f"calibration set '{spec.name}' is written by the model itself, and nothing was set to write it. "
                    "Use it in `semprune study`, or set `datamodule.writer` before setup()."
                )
            return self.writer(sequences, length, self.seed)
        tokens = encode(self.take_tokenizer(), calibration_text(spec, self.source), special=False)
        return draw_windows(tokens, sequences, length, self.seed, calibration=spec.name)

    def calibration_input_ids(self) -> Int[Tensor, "sequences length"]:
        """Token ids for pruning, the same on every rank; sets up if that was not done."""
        self.setup()
        return self.input_ids

    @property
    def first_predicted(self) -> int:
        """Position of the first token that a perplexity predicts: what is before it is special, or has no context."""
        self.setup()
        return max(1, len(self.prefix))

    def calibration_dataloader(self) -> DataLoader[DocumentBatch]:
        """Sequences in their order."""
        return self._loader(in_order(self.sequences, self.batch_size))

    def train_dataloader(self) -> DataLoader[DocumentBatch]:
        """Sequences as unlabelled documents, shuffled anew in each epoch."""
        return self._loader(shuffled(self.sequences, self.batch_size, self.seed))

    def _loader(self, plan: Plan) -> DataLoader[DocumentBatch]:
        rows = self.calibration_input_ids().tolist()
        padding = padding_token(self.take_tokenizer())
        documents = [EncodedDocument(tuple(row), index, 0, -1) for index, row in enumerate(rows)]
        return DataLoader(
            documents,  # type: ignore[arg-type]  # any sequence serves
            batch_sampler=ShardedBatchSampler(plan),
            collate_fn=lambda batch: document_batch(batch, padding),
        )
