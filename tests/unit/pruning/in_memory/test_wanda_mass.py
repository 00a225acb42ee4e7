"""Wanda mass against a slow loop, and over a whole model."""

from __future__ import annotations

import math

import torch

from semprune.pruning import dense_statistics, prune_from
from semprune.pruning.in_memory.dense_statistics import mass_lost, masses_lost
from semprune.pruning.weights.linear import WeightCopy


def test_equals_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 7, generator=generator)
    kept = torch.rand(5, 7, generator=generator) < 0.5
    squares = torch.rand(7, generator=generator)
    total = sum(abs(weight[i, j].item()) * math.sqrt(squares[j]) for i in range(5) for j in range(7))
    left = sum(abs(weight[i, j].item()) * math.sqrt(squares[j]) for i in range(5) for j in range(7) if kept[i, j])
    assert math.isclose(mass_lost(weight, kept, squares), 1 - left / total, abs_tol=1e-6)


def test_a_matrix_without_input_has_no_share():
    assert math.isnan(mass_lost(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bool), torch.zeros(2)))


def test_weighs_every_matrix_of_a_pruned_model_with_its_dense_weights(make_llama, input_ids):
    model = make_llama()
    dense, statistics = WeightCopy(model), dense_statistics(model, input_ids, methods=["wanda"])
    lost = {}
    for method in ("magnitude", "wanda"):
        masks = prune_from(model, statistics, method=method, sparsity=0.5).masks
        lost[method] = masses_lost(dense, masks, statistics)
        dense.write_back()

    assert set(lost["wanda"]) == {linear.name for linear in dense.linears}
    assert all(0 < share < 0.5 for share in lost["wanda"].values())  # the lower half of each row by this very score
    for linear in dense.linears:
        rows = linear.weight.abs() * statistics.layers[linear.name].sum_squares.sqrt()
        lower = rows.sort(dim=1).values[:, : rows.shape[1] // 2]
        assert math.isclose(lost["wanda"][linear.name], float(lower.sum() / rows.sum()), rel_tol=1e-4)
    assert all(0 < share < 1 for share in lost["magnitude"].values())
