"""Diversity and likeness of calibration sequences, against slow float64 references and closed forms."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import pearsonr

from semprune.study.calibration.measures import (
    concept_coverage,
    dispersion,
    distinct_ngrams,
    jensen_shannon,
    mean_cosine,
    ngram_coverage,
    participation_ratio,
    profile_correlation,
    vocabulary_coverage,
)

COUNTS = st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any).map(torch.tensor)


def test_dispersion_is_the_mean_cosine_distance_of_pairs() -> None:
    embeddings = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    cosine = torch.nn.functional.cosine_similarity
    pairs = [1 - cosine(embeddings[i].double(), embeddings[j].double(), dim=0) for i, j in combinations(range(9), 2)]
    assert dispersion(embeddings) == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-12)
    assert dispersion(embeddings[:1].expand(6, 5)) == pytest.approx(0.0, abs=1e-6)
    assert dispersion(embeddings[:1]) == 0.0
    assert dispersion(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(2.0)


@given(COUNTS, COUNTS)
def test_divergence_is_scipys_squared_and_symmetric(first: torch.Tensor, second: torch.Tensor) -> None:
    expected = float(jensenshannon(first.double().numpy(), second.double().numpy(), base=2)) ** 2
    assert jensen_shannon(first, second) == pytest.approx(0.0 if expected != expected else expected, abs=1e-9)
    assert jensen_shannon(first, second) == pytest.approx(jensen_shannon(second, first), abs=1e-12)
    assert jensen_shannon(first, first * 3) == pytest.approx(0.0, abs=1e-12)


def test_an_empty_histogram_has_no_divergence() -> None:
    value = jensen_shannon(torch.zeros(3), torch.ones(3))
    assert value != value


def test_ngrams_do_not_cross_sequences() -> None:
    tokens = [[1, 2, 3], [3, 1, 2]]
    assert distinct_ngrams(tokens, 2) == 3 / 4  # 12, 23, 31, 12
    assert ngram_coverage(tokens, [[2, 3, 3, 1]], 2) == 2 / 3  # 23 and 31, not 33
    assert distinct_ngrams([[1]], 2) == ngram_coverage(tokens, [[1]], 2) == 0.0
    assert vocabulary_coverage(tokens, 6) == 0.5
    assert concept_coverage(torch.tensor([0, 1, 5, 0])) == 0.5


def test_the_participation_ratio_is_that_of_the_eigenvalues() -> None:
    inputs = torch.randn(30, 6, generator=torch.Generator().manual_seed(1)).double() * torch.tensor(
        [5, 1, 1, 1, 1, 0.1]
    )
    moments = inputs.T @ inputs
    values = torch.linalg.eigvalsh(moments)
    assert participation_ratio(moments) == pytest.approx(float(values.sum() ** 2 / (values**2).sum()), rel=1e-12)
    assert participation_ratio(torch.eye(7)) == 7.0
    assert participation_ratio(torch.ones(4, 4)) == pytest.approx(1.0)


def test_profiles_are_compared_matrix_by_matrix_on_a_logarithmic_scale() -> None:
    draw = torch.Generator().manual_seed(2)
    first, second = ({name: torch.rand(20, generator=draw) + 0.1 for name in "ab"} for _ in range(2))
    own = [float(pearsonr(first[n].double().log().numpy(), second[n].double().log().numpy()).statistic) for n in "ab"]
    assert profile_correlation(first, second) == pytest.approx(sum(own) / 2, abs=1e-9)
    assert profile_correlation(first, {name: 7 * norms for name, norms in first.items()}) == pytest.approx(1.0)


def test_mean_cosine_ignores_lengths() -> None:
    first = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    assert mean_cosine(first, torch.tensor([[4.0, 4.0]])) == pytest.approx(1.0)
    assert mean_cosine(first, torch.tensor([[1.0, -1.0]])) == pytest.approx(0.0, abs=1e-12)
