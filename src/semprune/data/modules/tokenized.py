"""Base of the data modules: whose tokenizer they use, how batches travel, and how an epoch is gone on with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar

import lightning
import torch
from torch.utils.data import DataLoader

from semprune.data.batches.batching import ItemBatch
from semprune.data.batches.sampling import ShardedBatchSampler
from semprune.data.batches.special_tokens import check_tokenizer
from semprune.data.subject import subject_of
from semprune.errors import ConfigurationError, SettingError, UnboundDataError
from semprune.types import DocumentBatch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TokenizedDataModule(lightning.LightningDataModule):
    """A data module that speaks the language of the model it is used with.

    It has no backbone of its own: :meth:`bind` says which model it serves. Under a trainer that is the model that the
    trainer's module holds as ``lm`` or ``backbone``, unless another was bound before.

    Attributes:
        tokenizer: The model's; None before :meth:`bind`.
        context_length: Tokens that the model can read; 0 before :meth:`bind`.
    """

    def __init__(self) -> None:
        """Start without a model."""
        super().__init__()
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self.context_length = 0

    def bind(self, model: Any, tokenizer: Any = None) -> Self:
        """Serve a model: with its tokenizer, and no more tokens than it reads.

        Args:
            model: A backbone, or any Hugging Face causal LM.
            tokenizer: The model's tokenizer; a backbone has its own.

        Returns:
            The data module itself.

        Raises:
            ConfigurationError: If a bare model comes without a tokenizer.
        """
        subject = subject_of(model, tokenizer)
        self.tokenizer, self.context_length = subject.tokenizer, subject.max_length
        return self

    def take_tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer of the model that is served; without one, serve the trainer's.

        Raises:
            UnboundDataError: If there is no model.
            ConfigurationError: If the tokenizer cannot serve, or the trainer would put its own sampler in place of
                this module's.
        """
        self._refuse_distributed_sampler()
        if self.tokenizer is None:
            model = self._attached_model()
            if model is None:
                raise UnboundDataError(type(self).__name__)
            self.bind(model)
        assert self.tokenizer is not None  # bind has set it
        check_tokenizer(self.tokenizer)
        return self.tokenizer

    def check_fits(self, setting: str, tokens: int) -> None:
        """Refuse sequences longer than the model can read; after :meth:`take_tokenizer`.

        Raises:
            SettingError: If the model's limit is smaller.
        """
        if tokens > self.context_length:
            raise SettingError(setting, tokens, f"at most {self.context_length}, the tokens that the model can read")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move the tensors of documents; items have none and stay (Lightning's own way would write to them)."""
        if isinstance(batch, ItemBatch):
            return batch
        if not isinstance(batch, DocumentBatch):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        tensors = {field.name: getattr(batch, field.name).to(device) for field in dataclasses.fields(batch)}
        return dataclasses.replace(batch, **tensors)

    def _attached_model(self) -> Any:
        """The backbone of the trainer's module, or None."""
        module = self.trainer.lightning_module if self.trainer is not None else None
        candidates = (getattr(module, name, None) for name in ("lm", "backbone"))
        return next((model for model in candidates if hasattr(model, "tokenizer")), None)

    def _refuse_distributed_sampler(self) -> None:
        trainer = self.trainer
        if trainer is None or trainer.world_size == 1:
            return
        # Lightning publishes this setting nowhere else.
        if trainer._accelerator_connector.use_distributed_sampler:
            raise ConfigurationError(
                f"{type(self).__name__} shares batches between ranks itself, without repeating any, but this trainer "
                "would put a DistributedSampler in its place. Set use_distributed_sampler to false on the Trainer "
                "(--trainer.use_distributed_sampler false)."
            )


Batch = TypeVar("Batch", covariant=True)


class ResumableLoader(DataLoader[Batch]):
    """A DataLoader over a :class:`ShardedBatchSampler` that knows how many batches of the epoch it has handed out."""

    batch_sampler: ShardedBatchSampler

    def __init__(self, dataset: Any, sampler: ShardedBatchSampler, **settings: Any) -> None:
        """Take DataLoader's own settings; the sampler makes the batches."""
        super().__init__(dataset, batch_sampler=sampler, **settings)
        self._handed = 0
        self._skip = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # DataLoader's own iterator is wrapped
        """Yield the epoch's batches, after a loaded state only those that are left."""
        self._handed, self._skip = self._skip, 0
        self.batch_sampler.skip = self._handed
        for batch in super().__iter__():
            self._handed += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """How many batches of the running epoch have been handed out; 0 between epochs."""
        return {"batches": self._handed % max(len(self), 1)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave these batches out of the next iteration."""
        self._skip = state["batches"]
