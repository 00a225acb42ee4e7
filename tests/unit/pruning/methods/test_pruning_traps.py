"""What went wrong elsewhere, one test each, for every method that it could happen to.

More of them stand beside what they are about, under names that begin with ``test_trap``: thresholds that take too many,
running means over sequences, a failed Cholesky factorisation, TF32.
"""

import copy

import pytest
import torch

from semprune.errors import EmptyCalibrationError, NonFiniteError, NotPositiveDefiniteError
from semprune.pruning import find_method, prune_model
from semprune.pruning.selection.keep import keeper
from semprune.types import LayerStats

CALIBRATED = ["wanda", "ria", "sparsegpt"]
EVERY = ["magnitude", *CALIBRATED]


@pytest.mark.parametrize("method", CALIBRATED)
@pytest.mark.parametrize("selection", ["exact", "reference"])
def test_trap_statistics_over_padding(make_llama, input_ids, method, selection):
    mask = torch.ones_like(input_ids)
    mask[1, 7:] = 0
    mask[3, 2:] = 0
    garbage = torch.where(mask.bool(), input_ids, torch.full_like(input_ids, 3))
    settings = {"method": method, "sparsity": 0.5, "selection": selection, "attention_mask": mask}
    one, other = make_llama(), make_llama()
    reports = [prune_model(one, input_ids, **settings), prune_model(other, garbage, **settings)]

    assert reports[0].mask_hash == reports[1].mask_hash
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_trap_the_diagonal_of_the_inverse_instead_of_the_cholesky_diagonal():
    """The last input nearly repeats the first. By the inverse's diagonal, either is cheap to lose; by the factor's,
    only the first is: once it is gone, nothing to the right makes up for the last."""
    moments = torch.tensor([[2.0, 0.0, 1.9], [0.0, 2.0, 0.0], [1.9, 0.0, 2.0]])
    weight = torch.tensor([[1.0, 1.0, 1.5]])
    by_inverse = weight**2 / moments.inverse().diagonal()
    method = find_method("sparsegpt").with_options({"damping": 0.0})
    stats = LayerStats(torch.ones(3), 1, 1, second_moments=moments)

    assert by_inverse.argsort().tolist() == [[0, 2, 1]]  # 1 / 5.13, 2.25 / 5.13, 1 / 0.5
    assert method.prune(weight, stats, keeper("exact", 0.34)).kept.tolist() == [[False, True, True]]
    assert method.prune(weight, stats, keeper("exact", 0.67)).kept.tolist() == [[False, False, True]]


@pytest.mark.parametrize("method", EVERY)
def test_trap_a_tied_head_is_pruned_with_the_embedding(make_llama, input_ids, method):
    model = make_llama(tie_word_embeddings=True)
    before = model.lm_head.weight.clone()
    report = prune_model(model, input_ids, method=method, sparsity=0.5)

    assert torch.equal(model.lm_head.weight, before)
    assert not any("head" in name or "embed" in name for name in report.masks)


@pytest.mark.parametrize("method", CALIBRATED)
def test_trap_only_the_first_sequence_of_a_batch_is_read(make_llama, input_ids, method):
    hashes = {
        prune_model(make_llama(), input_ids, method=method, sparsity=0.5, batch_size=size).mask_hash
        for size in (1, 2, 8)
    }

    assert len(hashes) == 1


@pytest.mark.parametrize("method", CALIBRATED)
def test_trap_short_sequences_weigh_more_than_their_tokens(make_llama, input_ids, method):
    """Exact selection counts tokens: one long sequence says what its halves say, where no attention joins them."""
    model, twin = make_llama(), make_llama()
    for each in (model, twin):  # without values attention adds nothing, so that tokens do not see each other
        for layer in each.model.layers:
            layer.self_attn.v_proj.weight.data.zero_()
    whole, halves = input_ids[:4], input_ids[:4].reshape(8, 6)
    reports = [prune_model(each, ids, method=method, sparsity=0.5) for each, ids in ((model, whole), (twin, halves))]
    mlp = [name for name in reports[0].masks if "mlp" in name]

    assert all(torch.equal(reports[0].masks[name], reports[1].masks[name]) for name in mlp)


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("amount", [{"sparsity": 0.5}, {"pattern": "2:4"}])
def test_trap_more_than_the_asked_share_goes(llama, input_ids, method, amount):
    report = prune_model(llama.to(torch.bfloat16), input_ids, method=method, **amount)

    assert {(~mask).sum().item() / mask.numel() for mask in report.masks.values()} == {0.5}


@pytest.mark.parametrize("method", CALIBRATED)
def test_activations_that_are_not_finite_name_the_matrix(llama, input_ids, method):
    llama.model.layers[1].post_attention_layernorm.weight.data[:] = 3e38  # finite; its products are not
    with pytest.raises(NonFiniteError, match=r"the input of model\.layers\.1\.mlp\.gate_proj"):
        prune_model(llama, input_ids, method=method, sparsity=0.5)


def test_moments_without_an_inverse_name_the_matrix_and_leave_its_block_alone(llama, input_ids):
    before = copy.deepcopy(llama.state_dict())
    with pytest.raises(NotPositiveDefiniteError, match=r"model\.layers\.0\.self_attn\.q_proj .* with damping 0"):
        prune_model(llama, input_ids[:1, :4], method="sparsegpt", sparsity=0.5, damping=0.0)  # 4 tokens, 16 inputs

    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())
    assert prune_model(llama, input_ids[:1, :4], method="sparsegpt", sparsity=0.5).total_sparsity == 0.5


@pytest.mark.parametrize("method", CALIBRATED)
def test_calibration_without_a_token_is_refused_before_anything_changes(llama, method):
    before = copy.deepcopy(llama.state_dict())
    for nothing in (None, torch.zeros(0, 12, dtype=torch.long), torch.zeros(3, 0, dtype=torch.long)):
        with pytest.raises(EmptyCalibrationError):
            prune_model(llama, nothing, method=method, pattern="2:4")

    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())
