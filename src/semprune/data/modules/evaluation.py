"""Evaluation: items to score, calibration for what prunes, held-out documents for what was learned."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader

from semprune.data.batches.batching import ItemBatch
from semprune.data.batches.encoding import Truncate
from semprune.data.batches.sampling import ShardedBatchSampler, within_budget
from semprune.data.batches.scorable import ScorableItems, encode_items
from semprune.data.hashes import hash_items
from semprune.data.load import load_items
from semprune.data.modules.calibration import CalibrationDataModule
from semprune.data.modules.documents import DocumentDataModule
from semprune.data.modules.tokenized import TokenizedDataModule
from semprune.data.prompts.chat import check_chat_template
from semprune.data.prompts.render import find_prompts
from semprune.data.registry import dataset_spec
from semprune.data.rows.own_tables import with_own_tables
from semprune.data.rows.sources import Source, check_source, fetch
from semprune.data.settings import (
    CalibrationSettings,
    ChatSettings,
    DocumentSettings,
    chat_settings,
    names_of,
    refuse_renamed,
)
from semprune.errors import CalibrationMissingError, SettingError
from semprune.ranges import checked
from semprune.types import Amount, Count, Item, Limit, Seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class EvaluationDataModule(TokenizedDataModule):
    """Everything that ``test`` needs: items, calibration sequences, held-out documents.

    The attributes ``calibration`` and ``documents`` are data modules of their own, or None.

    Args:
        datasets: Names of the data sets to score, and paths of own tables (.csv, .json, .jsonl, .parquet).
        limit: Items of each data set; null for all. 200 give an accuracy within about 7 points.
        seed: Which items, few-shot examples, calibration sequences and documents.
        token_budget: Padded tokens of a batch over all ranks; raise it with memory and ranks.
        truncate: What to do with prompts longer than the model's context: error, or left (keep the end).
        calibration: Text for pruning callbacks: name, sequences and length, or the name alone; null for none.
        documents: Documents whose held-out part is read, or the names of their data sets alone; null for none. With
            the values of a fit they are those of its validation.
        source: auto (offline package if there is one, else hub), hub or offline.
        prompt: Name of a prompt that all data sets have, or all (every prompt of each); null for the first of each.
        shots: Answered examples before each item; 0 is zero-shot, the default of pruning papers.
        chat: Ask as a chat, with the tokenizer's own template: true, or its options, date and thought.
        text_column: Column of the texts of own tables; null for text.
        label_column: Column of the labels of own tables; null for label.

    Attributes:
        items: All items, in the order of the data sets; after ``setup``.
        data_hash: Their SHA-256; after ``setup``.
        scorable: The items as token ids, and those that cannot be scored; after ``item_dataloader``.
    """

    items: tuple[Item, ...]
    data_hash: str
    scorable: ScorableItems

    @refuse_renamed
    @checked
    def __init__(
        self,
        datasets: list[str],
        limit: Limit = 200,
        seed: Seed = 0,
        token_budget: Count = 4096,
        truncate: Truncate = "error",
        calibration: CalibrationSettings | str | None = "c4",
        documents: DocumentSettings | list[str] | None = None,
        source: Source = "auto",
        prompt: str | None = None,
        shots: Amount = 0,
        chat: bool | ChatSettings = False,
        text_column: str | None = None,
        label_column: str | None = None,
    ) -> None:
        """Check the settings; nothing is read yet.

        Raises:
            UnknownDatasetError: If there is no such data set.
            DatasetSchemaError: If an own table cannot be used as it is.
            UnknownPromptError: If a data set has no such prompt.
            UnknownCalibrationError: If there is no such calibration set.
            SettingError: If a number is out of range.
            RenamedSettingError: If a setting is given by a name that it had before.
        """
        super().__init__()
        check_source(source)
        if truncate not in ("error", "left"):
            raise SettingError("truncate", truncate, "error or left")
        self.datasets = names_of("datasets", with_own_tables(datasets, text_column, label_column))
        self.specs = tuple(map(dataset_spec, self.datasets))
        for spec in self.specs:
            find_prompts(spec, prompt)
        self.limit, self.seed, self.token_budget = limit, seed, token_budget
        self.prompt, self.shots, self.chat = prompt, shots, chat_settings(chat)
        self.truncate: Truncate = truncate
        self.source: Source = source
        self.calibration = self.documents = None
        if calibration is not None:
            text = CalibrationSettings(calibration) if isinstance(calibration, str) else calibration
            self.calibration = CalibrationDataModule(
                text.name, text.sequences, text.length, seed, source=source, add_bos=text.add_bos
            )
        if documents:
            read = DocumentSettings(documents) if isinstance(documents, list) else documents
            self.documents = DocumentDataModule(**asdict(read), seed=seed, source=source)

    def bind(self, model: Any, tokenizer: Any = None) -> Self:
        """Serve a model, calibration and documents included: see :meth:`TokenizedDataModule.bind`."""
        for module in (self.calibration, self.documents):
            if module is not None:
                module.bind(model, tokenizer)
        return super().bind(model, tokenizer)

    def prepare_data(self) -> None:
        """Fetch all packages, once per machine."""
        for spec in self.specs:
            fetch(spec, self.source)
        for module in (self.calibration, self.documents):
            if module is not None:
                module.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Read and render the items, draw calibration sequences, split documents; once."""
        if hasattr(self, "data_hash"):
            return
        tokenizer = self.take_tokenizer()
        if self.chat:
            check_chat_template(tokenizer, self.chat)
        for module in (self.calibration, self.documents):
            if module is not None:
                module.setup(stage)
        self.items = tuple(self._read(tokenizer))
        self.data_hash = hash_items(self.items)

    def calibration_input_ids(self) -> Int[Tensor, "sequences length"]:
        """Token ids for pruning, the same on every rank.

        Raises:
            CalibrationMissingError: If ``calibration`` is null.
        """
        if self.calibration is None:
            raise CalibrationMissingError("for pruning", type(self).__name__)
        self.setup()
        return self.calibration.calibration_input_ids()

    def test_dataloader(self) -> list[DataLoader[Any]]:
        """Items first (:class:`ItemBatch`), then the held-out documents (:class:`DocumentBatch`) if any.

        Raises:
            PromptTooLongError: If a prompt does not fit the model's context and ``truncate`` is ``error``.
            TooManyLeftOutError: If more of a data set's items cannot be scored than may be left out.
        """
        loaders: list[DataLoader[Any]] = [self.item_dataloader()]
        return loaders if self.documents is None else [*loaders, self.documents.val_dataloader()]

    def item_dataloader(self) -> DataLoader[ItemBatch]:
        """Items in batches of similar lengths, longest first."""
        tokenizer = self.take_tokenizer()
        self.scorable = encode_items(tokenizer, self.items, self.context_length, truncate=self.truncate)
        encoded = self.scorable.items
        plan = within_budget(
            [len(item.rows) for item in encoded], [item.longest for item in encoded], self.token_budget
        )
        return DataLoader(
            encoded,  # type: ignore[arg-type]  # any sequence serves
            batch_sampler=ShardedBatchSampler(plan),
            collate_fn=lambda batch: ItemBatch(tuple(batch)),
        )

    def _read(self, tokenizer: PreTrainedTokenizerBase) -> list[Item]:
        return [
            item
            for name in self.datasets
            for item in load_items(
                name, limit=self.limit, seed=self.seed, prompt=self.prompt, source=self.source, shots=self.shots,
                chat=self.chat or False, tokenizer=tokenizer,
            )
        ]  # fmt: skip
