"""The jackknife over documents: exact, and holding its level where few documents carry a concept."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from semprune.attribution.fit.cr3_jackknife import cluster_grams, deletion_weights, leverage_sums, satterthwaite
from semprune.attribution.fit.encoder import Encoder
from semprune.attribution.fit.inference import two_sided_p

DOCUMENTS, TOKENS, RIDGE = 40, 24, 1e-4
HOLDERS = (2, 3, 5, 8, 12, 40)  # documents that hold each concept


def regressors(seed, burst=0.1):
    """Concepts that come in bursts of very unequal size, any concept, 1, position, a data set."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.zeros(DOCUMENTS, TOKENS, len(HOLDERS))
    for c, held in enumerate(HOLDERS):
        own = torch.randperm(DOCUMENTS, generator=random)[:held]
        rate = (-burst * torch.rand(held, 1, generator=random).log()).clamp(max=0.9)
        labels[own, :, c] = (torch.rand(held, TOKENS, generator=random) < rate).float()
        labels[own, torch.randint(TOKENS, (held,), generator=random), c] = 1  # each holds it at least once
    share = labels.mean((0, 1))
    concepts = (labels - share) / (share * (1 - share)).sqrt()
    place = torch.linspace(-0.5, 0.5, TOKENS)[None, :, None].expand(DOCUMENTS, -1, -1)
    dataset = (torch.arange(DOCUMENTS) % 3 == 0).float()[:, None, None].expand(-1, TOKENS, 1) - 1 / 3
    anything = labels.any(-1, keepdim=True).float()
    return torch.cat([concepts, anything - anything.mean(), torch.ones_like(place), place, dataset], -1)


def noise(neurons, seed, level):
    """Errors that no concept explains: heavy tails, and a level of its own in every document."""
    random = torch.Generator().manual_seed(seed)
    normal = torch.randn(DOCUMENTS, TOKENS, neurons, generator=random)
    heavy = torch.randn(5, DOCUMENTS, TOKENS, neurons, generator=random).square().mean(0).sqrt()
    return (normal / heavy + level * torch.randn(DOCUMENTS, 1, neurons, generator=random)).clamp(-6, 6)


def encoded(m, z, cluster=None, size=8):
    """An encoder that has seen everything, in batches of whole documents."""
    cluster = torch.arange(len(m)) if cluster is None else cluster
    encoder = Encoder(m.shape[-1], z.shape[-1], len(HOLDERS), RIDGE)
    encoder.add_gram(m.flatten(0, 1), m.shape[0] * m.shape[1])
    encoder.add_targets(slice(None), m.flatten(0, 1), z.flatten(0, 1))
    encoder.finish_sums()
    for names in torch.unique(cluster).split(size):
        rows = torch.isin(cluster, names)
        own = torch.unique(cluster[rows], return_inverse=True)[1]
        influence = encoder.begin_variance(m[rows], own)
        encoder.add_variance(slice(None), influence, z[rows])
    return encoder


def solved(m, z, penalty):
    m, z = m.double().flatten(0, 1).numpy(), z.double().flatten(0, 1).numpy()
    return np.linalg.solve(m.T @ m + penalty * np.eye(m.shape[1]), m.T @ z)


@pytest.mark.parametrize("texts_per_document", [1, 2])
def test_the_variance_is_that_of_refits_without_each_document(texts_per_document):
    m, z = regressors(0), noise(4, 1, 0.5)
    cluster = torch.arange(DOCUMENTS) // texts_per_document
    encoder = encoded(m, z, cluster)
    penalty = RIDGE * DOCUMENTS * TOKENS
    whole = solved(m, z, penalty)
    slow = np.zeros((len(HOLDERS), 4))
    for k in range(int(cluster.max()) + 1):
        without = solved(m[cluster != k], z[cluster != k], penalty)
        slow += np.square(whole - without)[: len(HOLDERS)]
    np.testing.assert_allclose(encoder.variance.numpy(), slow, rtol=2e-3)


def test_the_degrees_of_freedom_are_those_of_the_whole_quadratic_form():
    m = regressors(2).double()
    encoder = encoded(m.float(), noise(1, 3, 0.0))
    rows = m.flatten(0, 1)
    gram = rows.T @ rows + RIDGE * len(rows) * torch.eye(m.shape[-1]).double()
    away = torch.eye(len(rows)).double() - rows @ torch.linalg.inv(gram) @ rows.T
    own = cluster_grams(m, torch.arange(DOCUMENTS))
    weights = deletion_weights(gram, own, len(HOLDERS))
    for c in range(len(HOLDERS)):
        reach = torch.zeros(DOCUMENTS, len(rows)).double()  # of each document's δ_k, in all errors
        for k in range(DOCUMENTS):
            here = slice(k * TOKENS, (k + 1) * TOKENS)
            reach[k] = (m[k] @ weights[k, :, c]) @ away[here]
        q = reach @ reach.T
        exact = float(q.trace() ** 2 / q.square().sum())
        assert float(encoder.degrees_of_freedom[c]) == pytest.approx(max(exact, 1), rel=0.1), HOLDERS[c]


def test_degrees_of_freedom_fall_with_the_documents_that_hold_a_concept():
    freedom = encoded(regressors(4), noise(1, 5, 0.0)).degrees_of_freedom
    assert freedom.min() >= 1
    assert freedom[0] < 2.5  # two documents
    assert (freedom < DOCUMENTS / 2).all()  # bursts: a few documents hold most of a concept, however many hold it
    assert freedom[-1] > freedom[1]


@pytest.mark.parametrize("burst", [0.1, 0.03])
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_under_the_null_the_test_holds_its_level(level, burst):
    """Rejections over seeds stay below the 99 % bound of a binomial at the nominal rate, for every number of holders.

    Given the regressors, neurons are independent: their rejections are a binomial count.
    """
    seeds, neurons = range(8), 250
    rejected = {alpha: torch.zeros(len(HOLDERS)) for alpha in (0.05, 0.005)}
    for seed in seeds:
        encoder = encoded(regressors(seed, burst), noise(neurons, 100 + seed, level))
        p = two_sided_p(encoder.t, encoder.degrees_of_freedom)
        for alpha, count in rejected.items():
            count += (p < alpha).sum(0)
    tests = len(seeds) * neurons
    for alpha, count in rejected.items():
        assert (count <= binom.ppf(0.99, tests, alpha)).all(), (alpha, count / tests)
    if burst == 0.1:  # and is no empty promise where a dozen documents hold a concept
        assert (rejected[0.05][-2:] >= 0.3 * 0.05 * tests).all()


def test_plain_residuals_would_reject_far_too_often():
    """What the correction is for: the sandwich of plain residuals at documents − 1 degrees of freedom."""
    rejected = torch.zeros(len(HOLDERS))
    for seed in range(8):
        m, z = regressors(seed, 0.03), noise(250, 100 + seed, 0.4)
        encoder = encoded(m, z)
        inverse = torch.linalg.inv(encoder.gram + RIDGE * encoder.count * torch.eye(m.shape[-1]))
        residual = z.double() - m.double() @ encoder.closed_form.double()
        scores = torch.einsum("cp,ktp,ktn->kcn", inverse[: len(HOLDERS)], m.double(), residual)
        t = encoder.effect / scores.square().sum(0).sqrt().T
        rejected += (two_sided_p(t, torch.tensor(HOLDERS).double() - 1) < 0.05).sum(0)
    assert (rejected[3:] / 2000 > 0.10).all()


def test_a_concept_of_one_document_has_a_t_of_about_one():
    """Without its only document there is nothing left of it: the effect could as well be 0."""
    m, z = regressors(6), noise(50, 7, 0.4)
    m[1:, :, 0] = m[1:, :, 0].min()
    m[0, :, 0] = m[1, 0, 0]
    m[0, 5:9, 0] += 10
    z[0, 5:9] += 4  # however strongly its neurons answer
    encoder = encoded(m, z)
    assert encoder.t[:, 0].abs().max() < 1.1
    assert float(encoder.degrees_of_freedom[0]) == pytest.approx(1, abs=0.05)


def test_sums_over_two_ranks_of_documents_are_those_of_all():
    m = regressors(8)
    rows = m.double().flatten(0, 1)
    gram, own = rows.T @ rows + torch.eye(m.shape[-1]), cluster_grams(m, torch.arange(DOCUMENTS))
    weights = deletion_weights(gram, own, 3)
    inverse = torch.linalg.pinv(gram, hermitian=True)
    half = sum(leverage_sums(gram, inverse, own[k::2], weights[k::2]) for k in (0, 1))
    torch.testing.assert_close(half, leverage_sums(gram, inverse, own, weights))
    assert torch.isfinite(satterthwaite(half)).all()
