"""A loader that goes on in the middle of an epoch: Lightning keeps its state in checkpoints and gives it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from torch.utils.data import DataLoader

from semprune.data.batches.sampling import ShardedBatchSampler

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
