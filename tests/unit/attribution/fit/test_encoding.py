"""The encoding model against independent references."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semprune.attribution.association.score import NEURON_CLASSES, classify, row_specificity
from semprune.attribution.fit.encoding import EncodingSums, gradient, loss, solve, unexplained_share
from semprune.attribution.fit.inference import Influence, clustered_scores, gate
from semprune.attribution.standardisation.site_pass import ReusedMemory


def regression(seed: int, n: int = 60, d: int = 4, neurons: int = 7):
    generator = torch.Generator().manual_seed(seed)
    m = torch.randn(n, d, generator=generator)
    return m, m @ torch.randn(d, neurons, generator=generator) + torch.randn(n, neurons, generator=generator)


@given(st.integers(0, 1000))
def test_solve_equals_numpy_least_squares(seed):
    m, z = regression(seed)
    expected, *_ = np.linalg.lstsq(m.double().numpy(), z.double().numpy(), rcond=None)
    np.testing.assert_allclose(solve(EncodingSums.of(m, z), ridge=0.0), expected, atol=2e-4)


def test_loss_and_gradient_equal_autograd_over_observations():
    m, z = regression(1)
    b = torch.randn(4, 7, generator=torch.Generator().manual_seed(2), requires_grad=True)
    direct = 0.5 * (z - m @ b).square().sum() / len(m) + 0.05 * b.square().sum()
    direct.backward()
    sums = EncodingSums.of(m, z)
    torch.testing.assert_close(loss(sums, b.detach(), ridge=0.1), direct.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient(sums, b.detach(), ridge=0.1), b.grad, rtol=1e-4, atol=1e-5)


def test_sums_of_two_halves_are_the_sums_of_the_whole():
    m, z = regression(3)
    whole, first, second = EncodingSums.of(m, z), EncodingSums.of(m[:23], z[:23]), EncodingSums.of(m[23:], z[23:])
    torch.testing.assert_close(first.gram + second.gram, whole.gram)
    torch.testing.assert_close(first.cross + second.cross, whole.cross)
    assert first.count + second.count == whole.count


def test_gradient_steps_from_zero_reach_the_closed_form():
    m, z = regression(4)
    sums, b = EncodingSums.of(m, z), torch.zeros(4, 7)
    for _ in range(400):
        b -= 0.2 * gradient(sums, b)
    torch.testing.assert_close(b, solve(sums), rtol=1e-4, atol=1e-4)


def test_nothing_is_unexplained_without_noise():
    m, _ = regression(5)
    b = torch.randn(4, 7, generator=torch.Generator().manual_seed(6))
    sums = EncodingSums.of(m, m @ b)
    assert unexplained_share(sums, b) == pytest.approx(0, abs=1e-5)
    assert unexplained_share(sums, torch.zeros_like(b)) == pytest.approx(1)


@pytest.mark.parametrize("cluster", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 1]])
def test_clustered_variance_equals_a_loop_over_documents(cluster):
    generator = torch.Generator().manual_seed(7)
    w, m = torch.randn(5, 6, 2, generator=generator), torch.randn(5, 6, 4, generator=generator)
    z, b = torch.randn(5, 6, 3, generator=generator), torch.randn(4, 3, generator=generator)
    e = z - m @ b
    slow = np.zeros((2, 3))
    for k in set(cluster):
        for c in range(2):
            for j in range(3):
                own = [d for d in range(5) if cluster[d] == k]
                slow[c, j] += sum(float(w[d, t, c]) * float(e[d, t, j]) for d in own for t in range(6)) ** 2
    found = clustered_scores(Influence.of(w, m, torch.tensor(cluster)), z, b)
    np.testing.assert_allclose(found, slow, rtol=1e-4)


@pytest.mark.parametrize("cluster", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 1]])
def test_clustered_variance_in_bfloat16_is_that_in_fp32_to_its_digits(cluster):
    generator = torch.Generator().manual_seed(8)
    w, m = torch.randn(5, 64, 2, generator=generator), torch.randn(5, 64, 4, generator=generator)
    b = torch.randn(4, 30, generator=generator)
    z = m @ b + torch.randn(5, 64, 30, generator=generator)
    own, memory = torch.tensor(cluster), ReusedMemory()
    wide = clustered_scores(Influence.of(w, m, own), z, b)
    narrow, again = (
        clustered_scores(Influence.of(w, m, own, torch.bfloat16), z.bfloat16(), b, memory) for _ in range(2)
    )
    assert narrow.dtype == torch.float32
    assert torch.equal(narrow, again)
    assert ((narrow - wide).abs() / wide.mean()).max() < 0.05
    assert float((narrow.sqrt() / wide.sqrt()).median()) == pytest.approx(1, abs=0.01)


def test_gate_controls_discoveries_under_the_null_within_each_layer():
    t = torch.randn(4000, 3, generator=torch.Generator().manual_seed(9))
    t[:20, 0] = 8.0
    gated, _ = gate(t, torch.full((3,), 1e6), (2000, 2000), q=0.05)
    assert gated[:20, 0].all()
    assert gated[2000:].sum() <= 3
    assert gated[:, 1:].sum() <= 3


def test_a_concept_of_three_documents_needs_a_far_larger_t():
    t = torch.full((100, 2), 4.0)
    gated, _ = gate(t, torch.tensor([2.0, 200.0]), (100,), q=0.05)
    assert not gated[:, 0].any()
    assert gated[:, 1].all()


def test_neuron_classes():
    effect = torch.tensor([[2.0, 0.1], [1.0, 1.0], [-1.0, 0.0], [0.1, 0.1], [2.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    gated = torch.tensor([[1, 0], [1, 1], [1, 0], [1, 0], [1, 0], [1, 0], [0, 0]]).bool()
    any_concept = torch.tensor([0.0, 0.5, 0.0, 3.0, 0.0, 0.0, 0.0])
    dead, massive = torch.zeros(7).bool(), torch.zeros(7).bool()
    dead[4], massive[5] = True, True
    names = [NEURON_CLASSES[index] for index in classify(effect, any_concept, gated, dead, massive)]
    assert names == ["specific", "specific", "suppressor", "global", "dead", "massive", "unassociated"]


def test_specificity_follows_a_permutation_of_neurons():
    effect = torch.randn(9, 4, generator=torch.Generator().manual_seed(10))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(11))
    assert torch.equal(row_specificity(effect)[order], row_specificity(effect[order]))
