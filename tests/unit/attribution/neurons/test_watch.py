"""The words of a concept and what its neurons answer to them, counted by hand."""

import pytest
import torch

from semprune.attribution.association.neurons import NeuronIndex
from semprune.attribution.neurons.watch import WORDS, Watch, word_at, word_means
from semprune.types import NeuronSite

PIECES = ["The", " film", " was", " bad", "ly", " made", ",", ' "bad', '"', " un", "happy"]


def decode(ids):
    return "".join(PIECES[k] for k in ids)


@pytest.fixture
def watch():
    """Two documents: 'The film was badly made' and 'bad" , unhappy'; rows 7 and 4 are watched."""
    watch = Watch([7, 4], NeuronIndex((NeuronSite("layers.0.mlp", 0, "mlp", 9, "down_proj"),)), 0)
    watch.token = torch.tensor([0, 1, 2, 3, 4, 5, 3, 8, 6, 9, 10, 3])
    watch.document = torch.tensor([0] * 6 + [1] * 6)
    watch.values = torch.arange(24, dtype=torch.float32).view(12, 2)
    watch.labels = torch.zeros(12, 2, dtype=torch.bool)
    watch.labels[[4, 6, 10, 11], 0] = True
    return watch


def test_a_word_is_whole_lower_case_and_of_its_own_document(watch):
    assert word_at(watch.token, watch.document, 4, decode) == "badly"
    assert word_at(watch.token, watch.document, 6, decode) == "bad"
    assert word_at(watch.token, watch.document, 10, decode) == "unhappy"
    assert word_at(torch.tensor([7, 8]), torch.zeros(2), 1, decode) == "bad"
    assert word_at(torch.tensor([6]), torch.zeros(1), 0, decode) == ","


def test_means_are_over_each_words_places_most_frequent_first(watch):
    table = word_means(watch, {"blame": [4, 7, 5]}, ["blame", "praise"], decode)
    assert table.to_dict("list") == {
        "concept": ["blame"] * 6,
        "word": ["bad", "bad", "badly", "badly", "unhappy", "unhappy"],
        "row": [4, 7] * 3,  # row 5 is not watched
        "n": [2, 2, 1, 1, 1, 1],
        "mean": [18.0, 17.0, 9.0, 8.0, 21.0, 20.0],
    }


def test_only_the_most_frequent_words_are_kept():
    count = WORDS + 5
    watch = Watch([0], NeuronIndex((NeuronSite("layers.0.mlp", 0, "mlp", 1, "down_proj"),)), 0)
    watch.token, watch.document = torch.arange(count), torch.arange(count)
    watch.values, watch.labels = torch.ones(count, 1), torch.ones(count, 1, dtype=torch.bool)
    table = word_means(watch, {"any": [0]}, ["any"], lambda ids: f" w{ids[-1]:03}")
    assert table["word"].tolist() == [f"w{k:03}" for k in range(WORDS)]
    assert word_means(watch, {}, ["any"], str).empty
