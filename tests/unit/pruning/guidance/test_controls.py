"""Controls keep what they say of the weights, and lose the rest."""

import pytest
import torch
from tests import models
from tests.unit.pruning.guidance.test_fisher import MASK, linears_of, protected

from semprune.errors import SettingError
from semprune.pruning.guidance.controls import controlled, controlled_outputs
from semprune.pruning.guidance.fisher import Sums, finished
from semprune.pruning.guidance.protected_text import ProtectedText
from semprune.pruning.guidance.protection import Protection, parse_protection

TAU = {"q": torch.tensor([[1.0, 2, 3, 4, 5], [6, 7, 8, 0, 0], [9, 1, 1, 5, 0]])}


def test_a_control_keeps_each_rows_weights_and_no_place_or_each_places_mean_and_no_row():
    permuted = controlled(TAU | {"k": 2 * TAU["q"]}, MASK, "permuted")
    assert not torch.equal(permuted["q"], TAU["q"])
    assert torch.equal(permuted["q"].sort().values, TAU["q"].sort().values)
    assert torch.equal(permuted["q"] == 0, MASK == 0)
    assert torch.equal(permuted["k"], 2 * permuted["q"])  # one order for all matrices

    place = controlled(TAU, MASK, "place")["q"]
    ends = [(5 + 8 + 5) / 3, (4 + 7 + 1) / 3, (3 + 6 + 1) / 3]
    torch.testing.assert_close(place[1], torch.tensor([ends[2], ends[1], ends[0], 0, 0]))
    torch.testing.assert_close(place.sum(), TAU["q"].sum())
    assert torch.equal(controlled(TAU, MASK, "even")["q"], MASK.float())
    outputs = {"q": torch.arange(9.0)}
    assert controlled_outputs(outputs, "permuted")["q"].tolist() != outputs["q"].tolist()
    assert torch.equal(controlled_outputs(outputs, "permuted")["q"].sort().values, outputs["q"])
    assert controlled_outputs(outputs, "place") == {}


def test_permuted_outputs_are_of_the_same_matrix_of_another_block():
    own = {f"blocks.{block}.{name}": torch.arange(4.0) + 10 * block for block in range(6) for name in ("q", "up")}
    permuted = controlled_outputs(own, "permuted")
    assert list(permuted) == list(own)
    for name in ("q", "up"):
        blocks = [int(permuted[f"blocks.{block}.{name}"].min()) // 10 for block in range(6)]
        assert sorted(blocks) == list(range(6)) != blocks


def test_what_is_pruned_reads_the_control():
    model, text = models.llama(), protected()
    sums = Sums.zeros(linears_of(model), MASK.shape, torch.device("cpu"))
    even = ProtectedText("toy", 1.0, text.batches, "even")
    assert all(torch.equal(own, MASK.float()) for own in finished(sums, even).tokens.values())


@pytest.mark.parametrize("given", ["sentiment@shuffled", "sentiment@even*0", "sentiment@even*much"])
def test_unknown_weights_and_strengths_are_refused(given):
    with pytest.raises(SettingError, match="protect"):
        parse_protection(given)
    assert parse_protection("sentiment@even*3") == Protection("sentiment", strength=3.0, weights="even")
