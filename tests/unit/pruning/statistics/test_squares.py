"""What is summed of a linear's inputs."""

import math

import pytest
import torch

from semprune.pruning.statistics.squares import RunningMeanSquares, SquareSums, running_mean_squares, token_squares

INPUTS = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))  # [sequences, tokens, in]
TAU = torch.rand(4, 6, generator=torch.Generator().manual_seed(1))


def slow_sums(inputs, tau):
    """Float64 sums, one addition at a time."""
    sums = [0.0] * inputs.shape[-1]
    for sequence, weights in zip(inputs.double().tolist(), tau.double().tolist(), strict=True):
        for token, weight in zip(sequence, weights, strict=True):
            for j, value in enumerate(token):
                sums[j] += weight * value * value
    return torch.tensor(sums, dtype=torch.float64)


def published_running_mean(sequences):
    """The update that the code published with Wanda makes, with batches of one sequence, restated."""
    mean = torch.zeros(sequences[0].shape[-1])
    for seen, sequence in enumerate(sequences):
        columns = sequence.t().type(torch.float32)
        mean *= seen / (seen + 1)
        mean += torch.norm(columns, p=2, dim=1) ** 2 / (seen + 1)
    return mean


@pytest.mark.parametrize("tau", [None, TAU], ids=["ones", "weighted"])
def test_sums_equal_float64_loops(tau):
    sums = SquareSums(3)
    sums.update(INPUTS[:3], None if tau is None else tau[:3])
    sums.update(INPUTS[3:], None if tau is None else tau[3:])
    stats = sums.result()

    weights = torch.ones(4, 6) if tau is None else tau
    torch.testing.assert_close(stats.sum_squares.double(), slow_sums(INPUTS, weights), rtol=1e-6, atol=0)
    assert stats.sum_squares.dtype == torch.float32
    assert stats.tokens == pytest.approx(weights.double().sum().item())
    assert stats.sequences == 4
    assert stats.mean_squares is None


def test_weight_one_changes_no_bit():
    assert torch.equal(token_squares(INPUTS[0]), token_squares(INPUTS[0], torch.ones(6)))


def test_padding_never_counts_even_where_it_is_nan():
    padded = torch.cat([INPUTS, torch.full((4, 2, 3), math.nan)], dim=1)
    tau = torch.tensor([[1.0] * 6 + [0.0] * 2] * 4)
    with_padding, without = SquareSums(3), SquareSums(3)
    with_padding.update(padded, tau)
    without.update(INPUTS, None)

    assert torch.equal(with_padding.result().sum_squares, without.result().sum_squares)
    assert with_padding.result().tokens == 24


def test_merge_adds_what_the_other_has_seen():
    whole, first, second = SquareSums(3), SquareSums(3), SquareSums(3)
    whole.update(INPUTS, TAU)
    first.update(INPUTS[:1], TAU[:1])
    second.update(INPUTS[1:], TAU[1:])
    second.merge(first)

    assert torch.equal(second.result().sum_squares, whole.result().sum_squares)
    assert second.result().tokens == pytest.approx(whole.result().tokens)
    assert second.result().sequences == 4


def test_grouping_into_batches_and_ranks_changes_no_bit():
    inputs = torch.randn(64, 50, 40, generator=torch.Generator().manual_seed(2)) * 100
    found = []
    for groups in ([range(64)], [range(0, 64, 2), range(1, 64, 2)], [range(48, 64), range(48)]):
        total = SquareSums(40)
        for group in groups:
            part = SquareSums(40)
            for index in group:
                part.update(inputs[index : index + 1], None)
            total.merge(part)
        found.append(total.result().sum_squares)

    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_half_precision_inputs_are_squared_in_fp32():
    inputs = torch.tensor([[300.0], [300.0]], dtype=torch.float16)  # 90,000 is beyond fp16

    assert token_squares(inputs).tolist() == [180_000.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_running_mean_is_bit_equal_to_the_published_update(dtype):
    sequences = list(torch.randn(7, 33, 20, generator=torch.Generator().manual_seed(3)).to(dtype))
    running = RunningMeanSquares(20)
    running.update(torch.stack(sequences[:4]), None)
    running.update(torch.stack(sequences[4:]), None)

    assert torch.equal(running.result().mean_squares, published_running_mean(sequences))


def test_trap_running_mean_weighs_tokens_of_short_sequences_more():
    short, long = torch.tensor([[2.0]]), torch.tensor([[1.0], [1.0], [1.0]])
    mean = running_mean_squares(running_mean_squares(torch.zeros(1), 0, short), 1, long)
    sums = token_squares(short) + token_squares(long)

    assert mean.item() == 3.5  # (4 + 3) / 2 sequences
    assert sums.item() == 7.0  # over 4 tokens


def test_running_mean_leaves_padding_out():
    padded, plain = RunningMeanSquares(3), RunningMeanSquares(3)
    padded.update(
        torch.cat([INPUTS[:1], torch.full((1, 2, 3), math.nan)], dim=1), torch.tensor([[1.0] * 6 + [0.0] * 2])
    )
    plain.update(INPUTS[:1], None)

    assert torch.equal(padded.result().mean_squares, plain.result().mean_squares)
    assert padded.result().tokens == 6


def test_only_sums_are_additive_over_ranks():
    sums = SquareSums(3)
    sums.update(INPUTS, None)
    sums.additive()[0].mul_(2)  # as if another rank had seen the same

    torch.testing.assert_close(
        sums.result().sum_squares.double(), 2 * slow_sums(INPUTS, torch.ones(4, 6)), rtol=1e-6, atol=0
    )
    assert sums.result().sequences == 8
    assert RunningMeanSquares(3).additive() == ()
