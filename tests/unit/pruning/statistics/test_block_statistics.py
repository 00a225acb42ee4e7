"""Hooks that gather: shared inputs are summed once, the last product is saved, nothing is missed."""

import pytest
import torch
from torch import nn

from semprune.backbones.blocks.runner import BlockRunner, calibrating
from semprune.errors import CaptureError
from semprune.pruning.statistics.block_statistics import BlockStatistics
from semprune.pruning.statistics.squares import SquareSums
from semprune.pruning.weights.linear import PrunableLinear, prunable_linears
from semprune.types import PrunableMatrix


def run_block(model, input_ids, gathered, *, outputs_dropped=True, batch_size=2):
    with calibrating(model):
        runner = BlockRunner(model, model.model.layers, input_ids, batch_size=batch_size)
        with gathered.gathering(outputs_dropped=outputs_dropped) as begin:
            runner.run(
                0,
                advance=not outputs_dropped,
                on_batch=lambda batch: begin((batch.stop - batch.start, input_ids.shape[1]), None),
            )
    return runner.hidden


def test_matrices_that_read_the_same_tensor_share_one_sum(llama, input_ids, monkeypatch):
    updates = []
    original = SquareSums.update
    monkeypatch.setattr(
        SquareSums, "update", lambda self, *args: (updates.append(args[0].shape), original(self, *args))
    )
    gathered = BlockStatistics(prunable_linears(llama)[0], SquareSums)
    run_block(llama, input_ids, gathered, batch_size=5)
    stats = gathered.results(5)

    # q, k, v read one tensor; o; gate, up; down
    assert updates == [(5, 12, 16), (5, 12, 16), (5, 12, 16), (5, 12, 24)]
    attention, mlp = "model.layers.0.self_attn.", "model.layers.0.mlp."
    assert torch.equal(stats[f"{attention}q_proj"].sum_squares, stats[f"{attention}v_proj"].sum_squares)
    assert torch.equal(stats[f"{mlp}gate_proj"].sum_squares, stats[f"{mlp}up_proj"].sum_squares)
    assert not torch.equal(stats[f"{attention}q_proj"].sum_squares, stats[f"{mlp}up_proj"].sum_squares)


@pytest.mark.parametrize(("outputs_dropped", "products"), [(True, 0), (False, 3)])
def test_the_last_product_is_only_computed_where_someone_needs_it(llama, input_ids, outputs_dropped, products):
    ran = []
    down = llama.model.layers[0].mlp.down_proj
    forward = nn.Linear.forward

    def counted(self, inputs):
        ran.append(self is down)
        return forward(self, inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Linear, "forward", counted)
        gathered = BlockStatistics(prunable_linears(llama)[0], SquareSums)
        run_block(llama, input_ids, gathered, outputs_dropped=outputs_dropped, batch_size=2)

    assert gathered.results(5)["model.layers.0.mlp.down_proj"].tokens == 60
    # three batches; the recording of the calls runs the block once more
    assert sum(ran) == products + 1
    assert "forward" not in vars(down)


def test_hooks_are_gone_after_an_error(llama, input_ids):
    gathered = BlockStatistics(prunable_linears(llama)[0], SquareSums)

    def broken():
        with gathered.gathering(outputs_dropped=True):
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        broken()

    assert not any(module._forward_pre_hooks for module in llama.modules())


def test_a_matrix_that_saw_nothing_is_an_error(llama, input_ids):
    linears = [*prunable_linears(llama)[0], PrunableLinear(PrunableMatrix("unused", 0, "up"), nn.Linear(16, 4))]
    gathered = BlockStatistics(linears, SquareSums)
    run_block(llama, input_ids, gathered)

    with pytest.raises(CaptureError, match="'unused' saw 0 calibration sequences of 5"):
        gathered.results(5)


def gather_calls(*batches):
    """Statistics of two linears over batches, each a list of (linear's index, its input)."""
    linears = [PrunableLinear(PrunableMatrix(name, 0, "up"), nn.Linear(3, 2)) for name in ("first", "second")]
    gathered = BlockStatistics(linears, SquareSums)
    with gathered.gathering(outputs_dropped=False) as begin:
        for calls in batches:
            begin((2, 4), None)
            for index, inputs in calls:
                linears[index].module(inputs)
    return gathered


def test_inputs_with_flattened_tokens_are_read_by_sequence():
    inputs = torch.randn(2, 4, 3)
    stats = gather_calls([(0, inputs.flatten(0, 1)), (1, inputs)]).results(2)

    assert stats["first"].tokens == 8
    assert torch.equal(stats["first"].sum_squares, stats["second"].sum_squares)


def test_inputs_of_some_tokens_only_are_refused():
    with pytest.raises(CaptureError, match=r"'first' read \(5, 3\) for a batch of \(2, 4\) tokens"):
        gather_calls([(0, torch.randn(5, 3))])


def test_a_matrix_that_runs_twice_is_refused():
    with pytest.raises(CaptureError, match="'first' saw 4 calibration sequences of 2"):
        gather_calls([(0, torch.randn(2, 4, 3)), (0, torch.randn(2, 4, 3)), (1, torch.randn(2, 4, 3))]).results(2)


def test_sharing_in_one_batch_only_is_refused():
    one, other = torch.randn(2, 4, 3), torch.randn(2, 4, 3)

    with pytest.raises(CaptureError, match="'second' read the input of 'first' in one batch and of 'second'"):
        gather_calls([(0, one), (1, one)], [(0, one), (1, other)])


def test_a_matrix_that_runs_after_the_last_is_refused():
    with pytest.raises(CaptureError, match="'first' ran after 'second'"):
        gather_calls([(1, torch.randn(2, 4, 3)), (0, torch.randn(2, 4, 3))])
