from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from semprune.statistics.auroc import auroc, auroc_values


def toy(choices, items=200, seed=0, ties=False):
    random = np.random.default_rng(seed)
    labels = random.integers(0, choices, items)
    scores = random.normal(-4, 1, (items, choices)) + 0.8 * np.eye(choices)[labels]
    return (scores.round(0) if ties else scores), labels


def pairwise(scores, labels):
    """Mean over pairs of labels of sklearn's AUROC of their log-odds."""
    areas = []
    for first, second in combinations(np.unique(labels), 2):
        own = np.isin(labels, (first, second))
        areas.append(roc_auc_score(labels[own] == second, scores[own, second] - scores[own, first]))
    return np.mean(areas)


@pytest.mark.parametrize("choices", [2, 3, 6])
@pytest.mark.parametrize("ties", [False, True])
def test_the_mean_is_that_over_pairs(choices, ties):
    scores, labels = toy(choices, ties=ties)
    assert auroc_values(scores, labels).mean() == pytest.approx(pairwise(scores, labels), abs=1e-12)
    assert float(auroc(scores, labels)) == pytest.approx(pairwise(scores, labels), abs=1e-12)


@pytest.mark.parametrize("choices", [2, 3, 6])
def test_a_label_prior_moves_nothing(choices):
    scores, labels = toy(choices)
    shifted = scores + 5 * np.eye(choices)[choices - 1]
    assert auroc_values(shifted, labels) == pytest.approx(auroc_values(scores, labels), abs=1e-12)
    assert float(auroc(shifted, labels)) == pytest.approx(float(auroc(scores, labels)), abs=1e-12)


def test_models_side_by_side_are_as_one_by_one():
    three, labels = toy(3)
    both = auroc_values(np.stack([three, three**3]), labels)
    assert both[1] == pytest.approx(auroc_values(three**3, labels), abs=1e-12)


def test_labels_that_never_occur_are_left_out_and_one_label_has_none():
    scores, labels = toy(3)
    kept = labels != 2
    expected = roc_auc_score(labels[kept], scores[kept, 1] - scores[kept, 0])
    assert auroc_values(scores[kept], labels[kept]).mean() == pytest.approx(expected)
    assert np.isnan(auroc_values(scores, np.zeros(len(labels), int))).all()
