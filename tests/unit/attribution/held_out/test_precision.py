"""What reading back is compared with: guessing on the documents where it is measured."""

import math
from types import SimpleNamespace

import pytest
import torch

from semprune.attribution.held_out.precision import LevelPrecision


class Decoder:
    """Reads each of three concepts from one neuron of its own."""

    weight = torch.ones(3, 1)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        return values


@pytest.fixture
def level():
    level = LevelPrecision()
    targets = torch.tensor([[1, 0, 0], [0, 0, -1], [0, -1, 0], [1, 0, 1]])
    values = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.3, 0.1], [0.1, 0.2, 0.4], [0.4, 0.3, 0.7]])
    for rows in ([0, 1], [2, 3]):
        level.update(SimpleNamespace(decoder=Decoder(), values=values[rows]), targets[rows])
    return level


def test_guessing_has_the_share_of_what_is_known(level):
    assert level.prevalence() == pytest.approx([0.5, 0.0, 1 / 3])
    assert LevelPrecision().prevalence() == []


def test_a_concept_that_no_held_out_document_has_is_not_known_instead_of_infinite(level):
    by_set, by_neuron = level.compute()
    assert (by_set[0], by_neuron[0]) == (1.0, 1.0)
    assert math.isnan(by_set[1])
    assert math.isnan(by_neuron[1])
