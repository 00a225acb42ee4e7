"""Collect once, prune many: the same masks and weights as one run each, from one pass."""

import copy

import pytest
import torch

from semprune.errors import EmptyCalibrationError, SettingError, UnknownMethodError
from semprune.pruning import dense_statistics, prune_from, prune_model
from semprune.pruning.weights.linear import WeightCopy

METHODS = ("magnitude", "wanda", "ria", "sparsegpt")
AMOUNTS = ({"sparsity": 0.3}, {"sparsity": 0.6}, {"pattern": "2:4"}, {"sparsity": 0.5, "allocation": "owl"})


@pytest.mark.parametrize("selection", ["exact", "reference"])
def test_many_prunings_from_one_pass_equal_one_run_each(make_llama, input_ids, selection):
    model = make_llama()
    dense = WeightCopy(model)
    statistics = dense_statistics(model, input_ids, methods=METHODS, selection=selection, batch_size=2)
    for method in METHODS:
        for amount in AMOUNTS:
            twin = make_llama()
            settings = {"method": method, "selection": selection, "statistics": "dense", "batch_size": 2, **amount}
            expected = prune_model(twin, input_ids, **settings)
            report = prune_from(model, statistics, method=method, **amount)

            assert report.mask_hash == expected.mask_hash, (method, amount)
            assert report.settings == expected.settings
            assert report.calibration == expected.calibration
            assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
            dense.write_back()


def test_collecting_runs_each_block_once_and_changes_nothing(llama, input_ids):
    before, ran = copy.deepcopy(llama.state_dict()), []
    for index, layer in enumerate(llama.model.layers):
        layer.mlp.gate_proj.register_forward_hook(lambda *_, index=index: ran.append(index))
    dense_statistics(llama, input_ids, methods=["wanda", "sparsegpt"], batch_size=5)

    assert ran == [0, 0, 1]  # the recording of the calls runs the first block once more
    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())


def test_only_what_the_methods_read_is_kept(llama, input_ids):
    squares = dense_statistics(llama, input_ids, methods=["wanda", "ria", "magnitude"])
    moments = dense_statistics(llama, input_ids, methods=["wanda", "sparsegpt"])

    # per block: the inputs of q k v, o, gate up (16 wide) and down (24 wide), fp32
    assert memory_bytes(squares) == 2 * 4 * (3 * 16 + 24)
    assert memory_bytes(moments) == memory_bytes(squares) + 2 * 4 * (3 * 16 * 16 + 24 * 24)


def memory_bytes(statistics):
    """Memory of the distinct tensors."""
    kept = {
        id(tensor): tensor.nbytes
        for stats in statistics.layers.values()
        for tensor in (stats.sum_squares, stats.mean_squares, stats.second_moments)
        if tensor is not None
    }
    return sum(kept.values())


def test_statistics_are_asked_for_by_a_method_or_by_their_name(llama, input_ids):
    assert dense_statistics(llama, input_ids, needs="squares").needs == "squares"
    assert dense_statistics(llama, input_ids, methods=["magnitude"]).layers == {}
    assert dense_statistics(llama, input_ids, methods=["wanda"], needs="second_moments").needs == "second_moments"


def test_statistics_that_hold_too_little_are_refused(llama, input_ids):
    statistics = dense_statistics(llama, input_ids, methods=["wanda"])
    with pytest.raises(SettingError, match="collected with sparsegpt among `methods`: it reads second_moments"):
        prune_from(llama, statistics, method="sparsegpt", sparsity=0.5)
    nothing = dense_statistics(llama, input_ids, methods=["magnitude"])
    with pytest.raises(SettingError, match="collected with magnitude among `methods`: it reads squares"):
        prune_from(llama, nothing, method="magnitude", sparsity=0.5, allocation="owl")


def test_statistics_of_another_model_are_refused(llama, gpt2, input_ids):
    statistics = dense_statistics(gpt2, input_ids, methods=["wanda"])
    with pytest.raises(SettingError, match=r"collected from this model, with model\.layers\.0\.self_attn\.q_proj"):
        prune_from(llama, statistics, method="wanda", sparsity=0.5)


def test_padding_and_token_weights_are_those_of_prune_model(make_llama, input_ids):
    mask, weights = torch.ones_like(input_ids), torch.rand(input_ids.shape)
    mask[1, 7:] = 0
    given = {"attention_mask": mask, "token_weights": weights}
    model = make_llama()
    statistics = dense_statistics(model, input_ids, methods=["sparsegpt"], **given)
    report = prune_from(model, statistics, method="sparsegpt", sparsity=0.5)
    expected = prune_model(make_llama(), input_ids, method="sparsegpt", sparsity=0.5, statistics="dense", **given)

    assert report.mask_hash == expected.mask_hash


def test_bad_requests_are_refused(llama, input_ids):
    with pytest.raises(UnknownMethodError):
        dense_statistics(llama, input_ids, methods=["wnda"])
    with pytest.raises(SettingError, match="selection must be"):
        dense_statistics(llama, input_ids, methods=["wanda"], selection="best")
    with pytest.raises(EmptyCalibrationError):
        dense_statistics(llama, torch.zeros(0, 4, dtype=torch.long), methods=["wanda"])
