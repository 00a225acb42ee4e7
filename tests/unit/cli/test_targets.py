"""Whose AUROC ``semprune causal`` and ``mediate`` measure, and what they rank by beside it."""

import pytest

from semprune.cli import targets
from semprune.cli.commands.mediate import MediateConfig
from semprune.cli.targets import class_label, other_items
from semprune.types import Item


@pytest.mark.parametrize(
    ("concepts", "dataset", "label"),
    [
        (["trec.number"], "trec", 5),
        (["trec.number"], "bbc_news", None),  # another data set's classes
        (["trec.number", "trec.person"], "trec", None),
        ([], "trec", None),
        (["language.negation"], "trec", None),
    ],
)
def test_a_single_class_is_told_from_all_others_in_its_own_data_set(concepts, dataset, label):
    assert class_label(concepts, dataset) == label


def test_further_items_are_asked_as_those_that_are_scored(monkeypatch):
    def load(dataset, limit, prompt):
        return [Item(dataset, str(k), str(k), (("", " a"), ("", " b")), k % 2, prompt) for k in range(limit)]

    monkeypatch.setattr(targets, "load_items", load)
    held_out = load("sst2", 4, "liked")
    further = other_items(MediateConfig(limit=4, gradient_items=3), "sst2", held_out)
    assert [(item.document_id, item.prompt) for item in further] == [(str(k), "liked") for k in (4, 5, 6)]
