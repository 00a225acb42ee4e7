"""Predictions: each item once, in one order, the same at any world size."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import torch
from tests.ranks import run_ranks
from torch import distributed

from semprune.data.batches.batching import EncodedItem
from semprune.data.batches.encoding import EncodedRequest
from semprune.evaluation.predictions.prediction import choice_length, choice_scores, predict, prediction_table
from semprune.evaluation.predictions.scorer import Scorer
from semprune.types import Item


def item(index, dataset="toy", choices=(" yes", " no"), label=0):
    return Item(dataset, f"{index:02d}", f"d{index // 2}", tuple(("c", choice) for choice in choices), label, "plain")


def prediction(index, scores, label=0, dataset="toy"):
    return predict(item(index, dataset, choices=(" a",) * len(scores), label=label), tuple(scores))


class TableModel(torch.nn.Module):
    """Logits are a fixed table over the input token: what comes out can be computed by hand."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(4, 4)
        self.embedding.weight.data = torch.eye(4)
        self.head = torch.nn.Linear(4, 4, bias=False)
        # log p of the next token, for each token: rows are inputs
        table = torch.tensor(
            [[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [0.4, 0.3, 0.2, 0.1]]
        )
        self.head.weight.data = table.log().T.contiguous()

    def get_input_embeddings(self):
        return self.embedding

    def get_output_embeddings(self):
        return self.head

    def forward(self, input_ids, attention_mask, use_cache):
        class Output:
            logits = self.head(self.embedding(input_ids))

        return Output


def test_scores_labels_and_ties_by_hand(batch_of):
    items = [item(0, label=1), item(1, label=0)]
    requests = [(0, 1, [2], 0), (0, 1, [3, 0], 0), (1, 0, [1], 1), (1, 0, [3], 1)]
    scorer = Scorer()
    scorer.update(TableModel(), batch_of([[0, 1, 3], [2]], requests, items=items))
    table = scorer.predictions()
    # item 00: log 0.3 against log 0.4 + log 0.4; item 01: two equal scores, the first wins
    expected = torch.tensor([0.3, 0.16, 0.25, 0.25]).log().tolist()
    assert table["scores"][0] + table["scores"][1] == pytest.approx(expected, abs=1e-6)
    assert table["prediction"].tolist() == [0, 0]
    assert table["label"].tolist() == [1, 0]
    assert table["lengths"].tolist() == [[3, 2], [3, 2]]
    assert table["document_id"].tolist() == ["d0", "d0"]


def test_repeats_are_dropped_and_order_is_by_name():
    made = [
        prediction(2, (-1.0, -2.0)),
        prediction(0, (-3.0, -2.0)),
        prediction(2, (-9.0, -2.0)),
        prediction(0, (-1.0,), dataset="a"),
    ]
    table = prediction_table(made)
    assert list(zip(table["dataset"], table["item_id"], strict=True)) == [("a", "00"), ("toy", "00"), ("toy", "02")]
    assert table["scores"].tolist() == [[-1.0], [-3.0, -2.0], [-1.0, -2.0]]


def test_an_empty_scorer_gives_an_empty_table():
    assert prediction_table([]).empty
    assert Scorer().predictions().columns.tolist() == prediction_table([]).columns.tolist()


def test_outcomes_pad_missing_choices():
    arrays = choice_scores(prediction_table([prediction(0, (-1.0, -2.0, -3.0)), prediction(1, (-4.0, -5.0))]))
    assert arrays.scores.tolist() == [[-1.0, -2.0, -3.0], [-4.0, -5.0, float("-inf")]]
    assert arrays.lengths.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_the_joining_space_is_no_character_of_the_choice():
    assert [choice_length(text) for text in (" yes", "yes", "  yes", "")] == [3, 3, 4, 1]


def single(index):
    """One item on one row: two single-token choices, predicted from token ``index % 4``."""
    choices = (index % 4, (index + 1 + index // 4) % 4)
    requests = tuple(EncodedRequest((index % 4,), (choice,), 0) for choice in choices)
    return [EncodedItem(item(index, label=int(index % 3 == 0)), requests, (), ())]


def score(indices):
    """Predictions of these items, on this rank."""
    scorer, model = Scorer(), TableModel()
    for index in indices:
        scorer.update(model, single(index))
    return scorer.predictions()


def rank_process(rank, size, folder):
    """Ranks share seven items as a distributed sampler does: repeated until every rank has as many."""
    meeting, patience = f"file://{folder}/meeting", timedelta(seconds=240)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size, timeout=patience)
    try:
        table = score([index % 7 for index in range(-(-7 // size) * size)][rank::size])
    finally:
        distributed.destroy_process_group()
    table.to_json(f"{folder}/{rank}.json", double_precision=15)


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_any_number_of_ranks_gives_the_table_of_one(tmp_path, size):
    alone = score(range(7))
    assert 0 < (alone["prediction"] == alone["label"]).mean() < 1
    run_ranks(rank_process, size, size, tmp_path)
    for rank in range(size):
        table = json.loads((tmp_path / f"{rank}.json").read_text())
        assert table == json.loads(alone.to_json(double_precision=15))
