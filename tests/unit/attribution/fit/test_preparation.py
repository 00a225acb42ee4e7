"""The sample that the standardisation is fitted on."""

import torch

from semprune.attribution.fit.preparation import rows_of
from semprune.types import DocumentBatch


def test_chosen_rows_lose_the_padding_that_they_do_not_need():
    batch = DocumentBatch(
        input_ids=torch.tensor([[5, 6, 7, 8], [5, 6, 0, 0], [9, 0, 0, 0]]),
        attention_mask=torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]),
        document=torch.tensor([4, 2, 3]),
        dataset=torch.tensor([0, 1, 1]),
        label=torch.tensor([0, -1, 1]),
        cluster=torch.tensor([0, 1, 1]),
    )
    kept = rows_of(batch, torch.tensor([False, True, True]))
    assert kept.input_ids.tolist() == [[5, 6], [9, 0]]
    assert kept.attention_mask.tolist() == [[1, 1], [1, 0]]
    assert kept.document.tolist() == [2, 3]
    assert rows_of(batch, torch.zeros(3, dtype=torch.bool)).input_ids.shape == (0, 0)
