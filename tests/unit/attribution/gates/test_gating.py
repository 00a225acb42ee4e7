"""Gates at neurons: open ones change nothing, closed ones are mean-ablation, and rows have their own."""

import pytest
import torch
from tests.unit.attribution.worlds import WORDS, tiny_lm

from semprune.attribution.gates.exact_k import exact_k
from semprune.attribution.gates.gating import gated
from semprune.backbones import ablate

IDS = torch.randint(2, len(WORDS), (3, 6), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=["LlamaForCausalLM", "OPTForCausalLM"])
def lm(request):
    return tiny_lm(request.param)


def means(lm):
    return torch.randn(sum(site.width for site in lm.sites), generator=torch.Generator().manual_seed(1))


def logits(lm, gates, owner):
    with gated(lm, lm.sites, gates, means(lm), owner):
        return lm.model(IDS[: len(owner)]).logits.detach()


def held(lm, closed):
    """Replacements of the closed gates' neurons, as the ablation takes them."""
    found, mean = {}, means(lm)
    for place, site in enumerate(lm.sites):
        first = sum(each.width for each in lm.sites[:place])
        own = closed[first : first + site.width].nonzero()[:, 0]
        found[site.name] = (own, mean[first + own])
    return found


def test_open_gates_leave_the_model_bit_equal(lm):
    with torch.no_grad():
        expected = lm.model(IDS).logits
    assert torch.equal(logits(lm, torch.zeros(1, len(means(lm))), torch.zeros(3, dtype=torch.long)), expected)


def test_closed_gates_are_mean_ablation_and_rows_have_their_owners(lm):
    gates = (torch.rand(2, len(means(lm)), generator=torch.Generator().manual_seed(2)) < 0.3).float()
    owner = torch.tensor([1, 0, 1])
    found = logits(lm, gates, owner)
    for row, own in enumerate(owner.tolist()):
        with torch.no_grad(), ablate(lm.model, held(lm, gates[own])):
            alone = lm.model(IDS[row : row + 1]).logits
        torch.testing.assert_close(found[row : row + 1], alone, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert not torch.allclose(found, lm.model(IDS).logits, atol=1e-3)


def test_exactly_k_gates_close_where_scores_are_equal():
    gates = exact_k(torch.zeros(2, 7), 3)
    assert gates.sum(1).tolist() == [3.0, 3.0]
    assert set(gates.flatten().tolist()) == {0.0, 1.0}
