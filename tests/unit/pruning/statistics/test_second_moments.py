"""Second moments: sums over tokens in full fp32, whatever the batches, the padding and the user's TF32 setting."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semprune.backbones import hardware as precision
from semprune.backbones.hardware import full_fp32
from semprune.pruning.statistics import second_moments
from semprune.pruning.statistics.second_moments import STRIP, RunningSecondMoments, SecondMoments
from semprune.pruning.statistics.squares import RunningMeanSquares, SquareSums


def moments(inputs, tau=None, sequences=None):
    """In float64, token by token."""
    total = torch.zeros(inputs.shape[-1], inputs.shape[-1], dtype=torch.float64)
    weights = torch.ones(inputs.shape[:2]) if tau is None else tau
    for sequence, row in zip(inputs.double(), weights.double(), strict=True):
        for token, weight in zip(sequence, row, strict=True):
            if weight:
                total += weight * torch.outer(token, token)
    return 2 / (sequences or len(inputs)) * total


@pytest.mark.parametrize("width", [3, STRIP, STRIP + 5])
def test_they_are_the_mean_outer_products_twice(width):
    torch.manual_seed(0)
    inputs = torch.randn(3, 4, width)
    gathered = SecondMoments(width)
    gathered.update(inputs[:2], None)
    gathered.update(inputs[2:], None)
    found = gathered.result()

    assert found.second_moments.dtype == torch.float32
    assert torch.allclose(found.second_moments.double(), moments(inputs), rtol=1e-5, atol=1e-5)
    assert torch.equal(found.second_moments, found.second_moments.t())
    assert (found.tokens, found.sequences) == (12, 3)


def test_by_hand():
    gathered = SecondMoments(2)
    gathered.update(torch.tensor([[[1.0, 2.0], [3.0, 0.0]]]), torch.tensor([[1.0, 0.5]]))

    assert gathered.result().second_moments.tolist() == [[11.0, 4.0], [4.0, 8.0]]
    assert gathered.result().sum_squares.tolist() == [5.5, 4.0]


@pytest.mark.parametrize("kind", [SecondMoments, RunningSecondMoments])
def test_padding_never_counts_even_where_it_is_nan(kind):
    torch.manual_seed(0)
    inputs, tau = torch.randn(2, 5, 3), torch.ones(2, 5)
    tau[0, 3:] = 0
    inputs[0, 3:] = math.nan
    gathered = kind(3)
    gathered.update(inputs, tau)

    assert torch.allclose(gathered.result().second_moments.double(), moments(inputs.nan_to_num(), tau), atol=1e-5)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=6, max_size=6))
@settings(deadline=None)
def test_token_weights_multiply_each_tokens_product(weights):
    inputs, tau = torch.arange(24.0).reshape(2, 3, 4) / 7, torch.tensor(weights).reshape(2, 3)
    gathered = SecondMoments(4)
    gathered.update(inputs, tau)

    assert torch.allclose(gathered.result().second_moments.double(), moments(inputs, tau), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "squares"), [(SecondMoments, SquareSums), (RunningSecondMoments, RunningMeanSquares)])
def test_the_sums_of_squares_are_those_of_the_methods_that_read_no_more(kind, squares):
    torch.manual_seed(0)
    inputs, tau = torch.randn(3, 50, 7), torch.randint(0, 2, (3, 50)).float()
    found = []
    for each in (kind, squares):
        gathered = each(7)
        gathered.update(inputs, tau)
        found.append(gathered.result())

    assert torch.equal(found[0].sum_squares, found[1].sum_squares)
    assert found[0].tokens == found[1].tokens
    if found[0].mean_squares is not None:
        assert torch.equal(found[0].mean_squares, found[1].mean_squares)


def test_the_order_of_batches_does_not_change_a_bit():
    torch.manual_seed(0)
    batches = torch.randn(6, 2, 40, 9).unbind(0)
    results = []
    for order in (range(6), reversed(range(6))):
        gathered = SecondMoments(9)
        for index in order:
            gathered.update(batches[index], None)
        results.append(gathered.result().second_moments)

    assert torch.equal(*results)


def test_bf16_inputs_are_summed_in_fp32():
    inputs = torch.full((1, 1000, 2), 1.0).bfloat16()
    gathered = SecondMoments(2)
    gathered.update(inputs, None)

    assert gathered.result().second_moments.tolist() == [[2000.0, 2000.0], [2000.0, 2000.0]]  # bf16 stops at 256


def test_the_running_mean_is_the_published_one_bit_for_bit():
    torch.manual_seed(0)
    inputs = torch.randn(4, 6, 5)
    published = torch.zeros(5, 5)
    for seen, sequence in enumerate(inputs):
        published *= seen / (seen + 1)
        columns = math.sqrt(2 / (seen + 1)) * sequence.unsqueeze(0).reshape(-1, 5).t().float()
        published += columns.matmul(columns.t())
    gathered = RunningSecondMoments(5)
    gathered.update(inputs[:3], None)
    gathered.update(inputs[3:], None)

    assert torch.equal(gathered.result().second_moments, published)
    assert gathered.additive() == ()


@pytest.mark.parametrize("tau", [None, 0.3])
def test_those_of_bfloat16_inputs_keep_all_digits(tau):
    torch.manual_seed(0)
    inputs = (torch.randn(2, 500, 8) * torch.logspace(-3, 3, 8)).bfloat16()
    tau = tau if tau is None else torch.full((2, 500), tau)
    gathered = SecondMoments(8)
    gathered.update(inputs, tau)
    expected = moments(inputs, tau)
    scale = expected.diagonal().sqrt()

    assert ((gathered.result().second_moments.double() - expected).abs() / scale / scale[:, None]).max() < 1e-5


@pytest.fixture
def fast_products():
    """Each way in which a user may have allowed TF32 and bf16 in fp32 products."""
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    before = [backend.fp32_precision for backend in backends]
    yield lambda: [backend.fp32_precision for backend in backends]
    for backend, setting in zip(backends, before, strict=True):
        backend.fp32_precision = setting


@pytest.fixture
def onednn(monkeypatch):
    """A CPU on which oneDNN does, or does not, multiply fp32 in full whatever it is allowed."""
    return lambda keeps: monkeypatch.setattr(precision, "onednn_keeps_fp32", lambda: keeps)


@pytest.mark.parametrize("allow", ["for all", "by backend"])
def test_trap_a_users_tf32_setting_does_not_reach_the_products(fast_products, onednn, monkeypatch, allow):
    onednn(False)
    if allow == "for all":
        torch.set_float32_matmul_precision("medium")
    else:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    seen, strips = [], second_moments._strips
    monkeypatch.setattr(second_moments, "_strips", lambda width: (seen.append(fast_products()), strips(width))[1])
    SecondMoments(4).update(torch.ones(1, 2, 4), None)

    assert seen == [["ieee", "ieee"]]
    assert fast_products() == ["tf32", "bf16"]


@pytest.mark.parametrize(
    ("dtype", "weight", "native", "keeps", "expected"),
    [
        (torch.bfloat16, 1.0, True, False, "bf16"),
        (torch.bfloat16, 0.5, True, False, "ieee"),  # weighted inputs are no bfloat16
        (torch.bfloat16, 1.0, False, False, "ieee"),  # slower than fp32 without the instruction
        (torch.float16, 1.0, True, False, "ieee"),
        (torch.float32, 1.0, True, False, "ieee"),
        (torch.float32, 1.0, True, True, "bf16"),  # the permission, of which no use is made
        (torch.bfloat16, 0.5, True, True, "bf16"),
    ],
)
def test_products_may_be_in_bfloat16_only_where_that_is_exact_and_quick(
    fast_products, onednn, monkeypatch, dtype, weight, native, keeps, expected
):
    onednn(keeps)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    seen, strips = [], second_moments._strips
    monkeypatch.setattr(second_moments, "_strips", lambda width: (seen.append(fast_products()), strips(width))[1])
    SecondMoments(4).update(torch.ones(1, 2, 4, dtype=dtype), torch.full((1, 2), weight))

    assert seen == [["ieee", expected]]


@pytest.mark.parametrize("keeps", [False, True])
def test_what_must_equal_the_published_code_bit_for_bit_takes_the_default_kernels(fast_products, onednn, keeps):
    onednn(keeps)
    with full_fp32():
        assert fast_products() == ["ieee", "ieee"]


def test_the_users_setting_comes_back_after_an_error(fast_products):
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    before = fast_products()

    def broken():
        with full_fp32():
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        broken()

    assert fast_products() == before
