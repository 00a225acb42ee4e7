"""Statistics of a mixture of experts: each expert counts the tokens that are routed to it."""

from dataclasses import replace

import pytest
import torch
from tests import models

from semprune.backbones.layout import family_of, prunable_matrices
from semprune.errors import CaptureError, SettingError, UnroutedExpertError
from semprune.pruning import prune_model
from semprune.pruning.callbacks.monitoring import sparsity_figure
from semprune.pruning.masks.apply import apply_masks
from semprune.pruning.statistics.block_statistics import BlockStatistics
from semprune.pruning.statistics.squares import SquareSums
from semprune.pruning.weights.linear import prunable_linears

UP, DOWN = "model.layers.0.mlp.experts.gate_up_proj.", "model.layers.0.mlp.experts.down_proj."
HIDDEN = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])  # two sequences of two tokens
TO = torch.tensor([[0, 2], [2, 1], [1, 2], [2, 1]])  # nothing to expert 3, to expert 0 only from the first sequence
WEIGHTS = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.8, 0.2]])


def mixtral(width=2, **changes):
    size = {"hidden_size": width, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = models.mixtral(**{**size, "initializer_range": 0.5, **changes})
    model.set_experts_implementation("eager")  # others want rows of 16 bytes
    return model


def gather(model, hidden=HIDDEN, to=TO, shape=(2, 2), tau=None, *, outputs_dropped=True):
    """Statistics of the experts alone, and what the experts module gave."""
    linears = [linear for linear in prunable_linears(model)[0] if linear.matrix.expert is not None]
    gathered = BlockStatistics(linears, SquareSums)
    with torch.no_grad(), gathered.gathering(outputs_dropped=outputs_dropped) as begin:
        begin(shape, tau)
        output = model.model.layers[0].mlp.experts(hidden, to, WEIGHTS[: len(hidden)])
    return gathered, output


def test_each_expert_sums_the_squares_of_its_tokens():
    model = mixtral()
    gathered, _ = gather(model, to=TO.masked_fill(TO == 2, 3))  # now nothing to expert 2
    with pytest.raises(UnroutedExpertError):
        gathered.results(2)
    to = torch.tensor([[0, 3], [2, 1], [1, 2], [2, 1]])
    stats = gather(model, to=to)[0].results(2)

    assert stats[f"{UP}0"].sum_squares.tolist() == [1.0, 4.0]
    assert stats[f"{UP}1"].sum_squares.tolist() == [9.0 + 25 + 49, 16.0 + 36 + 64]
    assert stats[f"{UP}2"].sum_squares.tolist() == [9.0 + 25 + 49, 16.0 + 36 + 64]
    assert [stats[f"{UP}{expert}"].tokens for expert in range(4)] == [1, 3, 3, 1]
    assert {entry.sequences for entry in stats.values()} == {2}

    gate_up = model.model.layers[0].mlp.experts.gate_up_proj.data.double()
    gate, up = (HIDDEN[1:].double() @ gate_up[1].T).chunk(2, dim=-1)
    inner = gate * torch.sigmoid(gate) * up
    torch.testing.assert_close(stats[f"{DOWN}1"].sum_squares.double(), inner.square().sum(0), rtol=1e-5, atol=1e-7)


def test_token_weights_reach_the_experts_and_padding_does_not():
    tau = torch.tensor([[1.0, 0.5], [2.0, 0.0]])
    to = torch.tensor([[0, 3], [2, 1], [1, 2], [2, 1]])
    stats = gather(mixtral(), HIDDEN.clone().index_fill(0, torch.tensor([3]), torch.nan), to, tau=tau)[0].results(2)

    assert stats[f"{UP}1"].sum_squares.tolist() == [0.5 * 9 + 2 * 25, 0.5 * 16 + 2 * 36]
    assert stats[f"{UP}1"].tokens == 2.5


def test_experts_without_a_token_are_all_named():
    gathered, _ = gather(mixtral())

    with pytest.raises(UnroutedExpertError, match=r"gate_up_proj\.3, .*down_proj\.3: nothing is known"):
        gathered.results(2)


def test_an_expert_that_only_padding_is_routed_to_has_no_token():
    to = torch.tensor([[0, 2], [2, 1], [1, 2], [3, 1]])
    assert gather(mixtral(), to=to)[0].results(2)[f"{UP}3"].tokens == 1

    with pytest.raises(UnroutedExpertError, match=r"gate_up_proj\.3"):
        gather(mixtral(), to=to, tau=torch.tensor([[1.0, 1.0], [1.0, 0.0]]))[0].results(2)


@pytest.mark.parametrize("outputs_dropped", [True, False])
def test_the_last_product_is_only_computed_where_someone_needs_it(outputs_dropped):
    model = mixtral()
    expected = model.model.layers[0].mlp.experts(HIDDEN, TO, WEIGHTS)
    _, output = gather(model, outputs_dropped=outputs_dropped)

    torch.testing.assert_close(output, torch.zeros_like(expected) if outputs_dropped else expected)
    assert "forward" not in vars(model.model.layers[0].mlp.experts)


def test_halves_of_the_sequences_add_up_to_all():
    """As two ranks do; an expert may be without a token on one of them."""
    to = torch.tensor([[0, 3], [2, 1], [1, 2], [2, 1]])
    model = mixtral()
    whole = gather(model, to=to)[0].results(2)
    first, second = (gather(model, HIDDEN[rows], to[rows], (1, 2))[0] for rows in (slice(0, 2), slice(2, 4)))
    for mine, other in zip(first.additive(), second.additive(), strict=True):
        mine += other

    summed = first.results(2)
    assert all(torch.equal(summed[name].sum_squares, stats.sum_squares) for name, stats in whole.items())


def test_experts_that_run_twice_are_refused():
    model = mixtral()
    linears = [linear for linear in prunable_linears(model)[0] if linear.matrix.expert is not None]
    gathered = BlockStatistics(linears, SquareSums)
    experts = model.model.layers[0].mlp.experts
    with gathered.gathering(outputs_dropped=True) as begin:
        begin((2, 2), None)
        experts(HIDDEN, TO, WEIGHTS)
        with pytest.raises(CaptureError, match=r"gate_up_proj\.0' ran after '.*down_proj\.3'"):
            experts(HIDDEN, TO, WEIGHTS)


def test_token_weight_two_counts_like_the_sequence_twice():
    ids = torch.randint(3, 40, (5, 12), generator=torch.Generator().manual_seed(1))
    weights = torch.ones(ids.shape)
    weights[2] = 2

    weighted = prune_model(mixtral(16), ids, method="wanda", sparsity=0.5, token_weights=weights)
    doubled = prune_model(mixtral(16), torch.cat([ids, ids[2:3]]), method="wanda", sparsity=0.5)

    assert weighted.mask_hash == doubled.mask_hash


def test_magnitude_needs_no_token_for_an_expert():
    report = prune_model(mixtral(16), None, method="magnitude", sparsity=0.25)

    assert set(report.sparsity.values()) == {0.25}


def test_masks_of_an_expert_that_is_not_there_are_refused():
    model = mixtral()
    before = model.model.layers[0].mlp.experts.down_proj.clone()
    with pytest.raises(SettingError, match=r"down_proj\.4"):
        apply_masks(model, {f"{DOWN}4": torch.zeros(2, 6, dtype=torch.bool)})

    apply_masks(model, {f"{DOWN}3": torch.zeros(2, 6, dtype=torch.bool)})
    after = model.model.layers[0].mlp.experts.down_proj
    assert torch.equal(after[:3], before[:3])
    assert not after[3].any()


def test_reference_selection_takes_the_running_mean_over_sequences():
    """Where the experts are linears of their own, the published hook sees each sequence's routed tokens in turn."""
    ids = torch.randint(3, 40, (5, 12), generator=torch.Generator().manual_seed(1))
    model = mixtral(16)
    experts = model.model.layers[0].mlp.experts
    seen = []
    hook = experts.register_forward_pre_hook(lambda module, args: seen.append(args[:2]))
    with torch.no_grad():
        for row in ids:
            model(row[None], use_cache=False)
    hook.remove()
    mean = torch.zeros(16)
    for count, (hidden, to) in enumerate(seen):
        squares = torch.norm(hidden[(to == 1).any(-1)].t(), p=2, dim=1) ** 2
        mean = mean * count / (count + 1) + squares / (count + 1)
    metric = experts.gate_up_proj[1].detach().abs() * mean.sqrt().reshape(1, -1)
    expected = torch.ones_like(metric, dtype=torch.bool)
    expected.scatter_(1, torch.sort(metric, dim=-1, stable=True)[1][:, :8], False)

    report = prune_model(model, ids, method="wanda", sparsity=0.5, selection="reference")

    assert torch.equal(report.masks[f"{UP}1"], expected)


def test_the_figure_shows_the_share_over_all_experts_of_a_block():
    model = mixtral(16)
    matrices = prunable_matrices(model, family_of(model))
    report = prune_model(model, None, method="magnitude", sparsity=0.5)
    uneven = dict(report.sparsity) | {f"{DOWN}{expert}": value for expert, value in enumerate((0.0, 0.2, 0.4, 1.0))}
    figure = sparsity_figure(replace(report, sparsity=uneven), matrices)

    cells = figure.axes[0].images[0].get_array()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["q", "k", "v", "o", "gate_up", "down"]
    assert cells[0].tolist() == pytest.approx([0.5] * 5 + [0.4])
