"""Calibration: sequences of plain text that a pruning method looks at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader

from semprune.data.batching import EncodedDocument, document_batch
from semprune.data.encoding import encode, padding_token
from semprune.data.registry import calibration_spec
from semprune.data.sampling import Plan, ShardedBatchSampler, in_order, shuffled
from semprune.data.settings import at_least
from semprune.data.sources import Source, check_source, fetch, read_text
from semprune.data.tokenized import TokenizedDataModule
from semprune.errors import EmptyCalibrationError
from semprune.types import DocumentBatch


def draw_windows(
    tokens: Sequence[int], sequences: int, length: int, seed: int, *, calibration: str = "calibration"
) -> Int[Tensor, "sequences length"]:
    """Draw windows of a tokenised text that do not overlap.

    The text is cut into windows from its start, the tail is dropped, and the seed shuffles the windows:
    with the same seed, more sequences only add to fewer. No special tokens are added.

    Args:
        tokens: Token ids of the text.
        sequences: Number of windows.
        length: Tokens of each.
        seed: Which windows.
        calibration: Name for messages.

    Returns:
        Token ids, int64.

    Raises:
        EmptyCalibrationError: If the text has fewer windows.

    Example:
        >>> draw_windows(range(7), sequences=3, length=2, seed=0).sort(dim=0).values
        tensor([[0, 1],
                [2, 3],
                [4, 5]])
    """
    windows = len(tokens) // length
    if windows < sequences:
        raise EmptyCalibrationError(calibration, len(tokens), length, sequences)
    chosen = np.random.default_rng(seed).permutation(windows)[:sequences]
    cut = torch.tensor(tokens[: windows * length], dtype=torch.long).reshape(windows, length)
    return cut[torch.from_numpy(chosen)]


def hash_tokens(input_ids: Int[Tensor, "sequences length"]) -> str:
    """SHA-256 of shape and token ids (int64, little endian), in hex: names the calibration in artefacts."""
    digest = hashlib.sha256(str(tuple(input_ids.shape)).encode())
    digest.update(input_ids.cpu().numpy().astype("<i8").tobytes())
    return digest.hexdigest()


class CalibrationDataModule(TokenizedDataModule):
    """Sequences of one calibration set, for pruning and for fitting on plain text.

    Attributes:
        input_ids: Token ids ``[sequences, length]``, int64; after ``setup``.
        token_hash: Their SHA-256; after ``setup``.
        datasets: The calibration set's name.
        classes: None: the text has no labels.
    """

    input_ids: Int[Tensor, "sequences length"]
    token_hash: str

    def __init__(
        self,
        calibration: str = "c4",
        sequences: int = 64,
        length: int = 512,
        seed: int = 0,
        batch_size: int = 8,
        source: Source = "auto",
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            calibration: Calibration set: c4, wiki, code, technical, tiny or multilingual. Pruning papers use c4.
            sequences: Number of sequences; 64 × 512 tokens take a minute on two cores. Papers use 128 × 2048.
            length: Tokens of each sequence.
            seed: Which sequences of the text.
            batch_size: Sequences in a batch over all ranks.
            source: auto (offline package if there is one, else hub), hub or offline.

        Raises:
            UnknownCalibrationError: If there is no such calibration set.
            SettingError: If a number is out of range.
        """
        super().__init__()
        check_source(source)
        self.spec = calibration_spec(calibration)
        self.sequences = at_least("calibration sequences", sequences, 1)
        self.length = at_least("calibration length", length, 2)
        self.seed = at_least("seed", seed, 0)
        self.batch_size = at_least("batch_size", batch_size, 1)
        self.source = source
        self.datasets = (calibration,)
        self.classes: tuple[str, ...] = ()

    def prepare_data(self) -> None:
        """Fetch the text's package, once per machine."""
        fetch(self.spec, self.source)

    def setup(self, stage: str | None = None) -> None:
        """Tokenise the text and draw the sequences, once.

        Raises:
            EmptyCalibrationError: If the text is too short.
            SettingError: If a sequence is longer than the model can read.
        """
        if hasattr(self, "input_ids"):
            return
        tokenizer = self.take_tokenizer()
        self.check_fits("calibration length", self.length)
        tokens = encode(tokenizer, read_text(self.spec, self.source), special=False)
        self.input_ids = draw_windows(tokens, self.sequences, self.length, self.seed, calibration=self.spec.name)
        self.token_hash = hash_tokens(self.input_ids)

    def calibration_input_ids(self) -> Int[Tensor, "sequences length"]:
        """Token ids for pruning, the same on every rank; sets up if that was not done."""
        self.setup()
        return self.input_ids

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
