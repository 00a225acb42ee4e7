"""Token-level fidelity against full float64 logits."""

from __future__ import annotations

import copy

import pytest
import torch

from semprune.errors import NonFiniteError, SettingError
from semprune.evaluation.engine import logits, token_logprobs
from semprune.evaluation.fidelity import dense_text, token_fidelity

IDS = torch.randint(0, 97, (5, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def damaged(model):
    other = copy.deepcopy(model)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if "mlp" in name and weight.ndim == 2:
                weight.mul_(torch.rand_like(weight) < 0.5)
    return other


@pytest.mark.parametrize("batch_size", [2, 5])
def test_equals_the_float64_reference(model, damaged, batch_size, reference_logprobs):
    found = token_fidelity(damaged, IDS, dense_text(model, IDS, batch_size).states, batch_size)
    for row, ids in enumerate(IDS.tolist()):
        dense, pruned = (reference_logprobs(each, ids)[:-1].double() for each in (model, damaged))
        expected = (dense.exp() * (dense - pruned)).sum(-1)
        assert expected.mean() > 1e-4
        assert found.divergence[row].tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-7)
        assert found.same_top[row].tolist() == (dense.argmax(-1) == pruned.argmax(-1)).tolist()


def test_blocks_change_nothing(model, damaged, monkeypatch):
    dense = dense_text(model, IDS).states
    whole = token_fidelity(damaged, IDS, dense)
    monkeypatch.setitem(token_logprobs._BLOCK_ELEMENTS, "cpu", 4 * 97)
    monkeypatch.setitem(logits.LOGIT_ELEMENTS, "cpu", 10 * 97)
    torch.testing.assert_close(token_fidelity(damaged, IDS, dense).divergence, whole.divergence)


def test_a_model_is_faithful_to_itself(model):
    found = token_fidelity(model, IDS, dense_text(model, IDS).states)
    assert found.divergence.max() < 1e-6
    assert found.same_top.all()


def test_bad_input(model):
    with pytest.raises(SettingError, match="at least two tokens"):
        dense_text(model, IDS[:, :1])
    with pytest.raises(SettingError, match="5 × 11 positions"):
        token_fidelity(model, IDS, dense_text(model, IDS[:4]).states)
    with pytest.raises(NonFiniteError, match="divergence"):
        token_fidelity(model, IDS, dense_text(model, IDS).states * float("nan"))
