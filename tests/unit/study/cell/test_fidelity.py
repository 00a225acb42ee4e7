"""The measures of a text and of items as rows, against values worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from semprune.evaluation.fidelity import TokenFidelity
from semprune.study.cell.fidelity import each_sequence, item_measures, text_measures


def test_a_text_has_means_over_its_sequences() -> None:
    divergence = torch.tensor([[0.0, 0.2], [0.4, 0.6]])
    found = TokenFidelity(divergence, torch.tensor([[True, True], [True, False]]), torch.tensor([3.0, 4.0]))
    table = text_measures(found, torch.tensor([2.5, 3.0]), "prose").set_index("measure")
    assert table["value"].to_dict() == pytest.approx({"kl": 0.3, "same_top": 0.75, "log_perplexity": 0.75})
    assert set(table["n"]) == {4}
    assert table.loc["kl", "high"] - 0.3 == pytest.approx(12.7062 * 0.2, rel=1e-4)  # t of 1 degree, means .1 and .5


def test_each_sequence_has_a_row_of_its_own_means() -> None:
    divergence = torch.tensor([[0.0, 0.2], [0.4, 0.6]])
    found = TokenFidelity(divergence, torch.tensor([[True, True], [True, False]]), torch.tensor([3.0, 4.0]))
    table = each_sequence(found, "prose")
    assert table["sequence"].tolist() == [0, 1]
    assert table["kl"].tolist() == pytest.approx([0.1, 0.5])
    assert table[["same_top", "nll"]].values.tolist() == [[1.0, 3.0], [0.5, 4.0]]


def test_measures_of_items_keep_their_intervals() -> None:
    values = {"n": 10, "divergence": 0.5, "low": 0.1, "high": 0.9, "rank_agreement": 0.7}
    shares = {"flips": 0.6, "lost": 0.3, "gained": 0.1, "moved": 0.2}
    values |= {
        f"{name}_{end}": share + move for name, share in shares.items() for end, move in (("low", -0.1), ("high", 0.1))
    }
    found = pd.DataFrame([{"dataset": "toy", "prompt": "ask"} | values | shares])
    table = item_measures(found, "topic").set_index("measure")
    assert table["value"].to_dict() == pytest.approx({"item_kl": 0.5, "rank_agreement": 0.7} | shares)
    assert table.loc["item_kl", ["low", "high"]].tolist() == [0.1, 0.9]
    assert table.loc["lost", ["low", "high"]].tolist() == pytest.approx([0.2, 0.4])
    assert table.loc["rank_agreement", ["low", "high"]].isna().all()
