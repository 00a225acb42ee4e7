"""Zeros written by bits: +0 where a mask keeps nothing, every other bit as it was."""

import math

import pytest
import torch

from semprune.errors import NonFiniteError
from semprune.pruning.weights.linear import PrunableLinear, check_finite, zero_pruned
from semprune.types import PrunableMatrix

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_pruned_weights_are_plus_zero_and_the_others_untouched(dtype, transposed):
    values = torch.tensor([[-1.5, -0.0, 3.0], [-math.inf, math.nan, 2.0**-14]], dtype=dtype)
    kept = torch.tensor([[False, True, True], [False, False, True]])
    weight = values.clone().t() if transposed else values.clone()
    zero_pruned(weight, kept.t() if transposed else kept)
    found = weight.t() if transposed else weight

    assert found.tolist() == [[0.0, 0.0, 3.0], [0.0, 0.0, 2.0**-14]]
    assert found.signbit().tolist() == [[False, True, False], [False, False, False]]


def test_weights_made_under_inference_mode_are_written_too():
    with torch.inference_mode():
        weight = torch.ones(1, 2)
    zero_pruned(weight, torch.tensor([[True, False]]))

    assert weight.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_weight_that_is_not_finite_is_found_among_finite_ones(dtype, value):
    module = torch.nn.Linear(5, 4, bias=False, dtype=dtype)
    linear = PrunableLinear(PrunableMatrix("up", 0, "up"), module)
    check_finite([linear])
    module.weight.data[2, 3] = value

    with pytest.raises(NonFiniteError, match=r"^up holds"):
        check_finite([linear])


def test_sparsity_counts_minus_zero_as_zero():
    module = torch.nn.Linear(4, 1, bias=False)
    module.weight.data = torch.tensor([[0.0, -0.0, 1.0, math.nan]])

    assert PrunableLinear(PrunableMatrix("up", 0, "up"), module).measured_sparsity() == 0.5
