"""Average precision of each concept is torchmetrics' own, ties and unknown targets included."""

import pytest
import torch
from torchmetrics.functional.classification import binary_average_precision

from semprune.attribution.fit.average_precision import ConceptAveragePrecision


def test_each_column_is_torchmetrics_average_precision_of_what_is_known():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(400, 3, generator=generator).mul(3).round(decimals=1)  # ties
    targets = torch.randint(-1, 2, (400, 3), generator=generator)
    metric = ConceptAveragePrecision()
    metric.update(scores[:150], targets[:150])
    metric.update(scores[150:], targets[150:])

    found = metric.compute()
    for column in range(3):
        known = targets[:, column] >= 0
        expected = binary_average_precision(scores[known, column].double().sigmoid(), targets[known, column])
        assert found[column].item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_column_without_a_positive_has_none():
    metric = ConceptAveragePrecision()
    metric.update(torch.tensor([[0.9, 0.1, 0.3]]), torch.tensor([[0, -1, 1]]))
    assert metric.compute().isnan().tolist() == [True, True, False]
