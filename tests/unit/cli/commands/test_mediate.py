"""Whose AUROC ``semprune mediate`` measures."""

import pytest

from semprune.cli.targets import class_label


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
