"""Conductance against a path that is walked by hand, with finite differences in place of gradients."""

import pytest
import torch
from tests.unit.attribution.ablation.test_causal import items_of
from tests.unit.attribution.worlds import CONCEPTS, association_of, tiny_lm

from semprune.attribution.rankings.conductance import conductance_ranking, scaled_embeddings
from semprune.backbones import capture
from semprune.backbones.capture import site_hooks
from semprune.errors import ConfigurationError


@pytest.fixture(scope="module")
def world():
    lm = tiny_lm()
    lm.model.double()
    return lm, association_of(lm, torch.ones(sum(site.width for site in lm.sites), len(CONCEPTS)))


def test_embeddings_move_from_the_mean_and_come_back(world):
    lm, _ = world
    embedding, ids = lm.model.get_input_embeddings(), torch.tensor([[3, 5]])
    whole = embedding(ids)
    with scaled_embeddings(lm, 0.25):
        mean = embedding.weight.float().mean(0)
        assert torch.allclose(embedding(ids), (mean + 0.25 * (whole.float() - mean)).double())
    assert torch.equal(embedding(ids), whole)


def test_one_neuron_by_finite_differences(world):
    lm, association = world
    item, site, index, steps = items_of(1, start=9)[0], lm.sites[0], 4, 2
    ids = torch.tensor([lm.tokenizer(item.requests[0][0])["input_ids"]])
    words = [lm.tokenizer.convert_tokens_to_ids(request[1].strip()) for request in item.requests]
    right, wrong = words[item.label], words[1 - item.label]

    def odds(share, position=None, shift=0.0):
        def add(_, activations):
            moved = activations.clone()
            if position is not None:
                moved[:, position, index] += shift
            return moved

        with torch.no_grad(), scaled_embeddings(lm, share), site_hooks(lm.model, [site], add):
            last = lm.model(ids).logits[0, -1].log_softmax(-1)
        return float(last[right] - last[wrong])

    def activation(share):
        seen = []
        with torch.no_grad(), scaled_embeddings(lm, share), capture(lm.model, [site], lambda _, h: seen.append(h)):
            lm.model(ids)
        return seen[0][0, :, index]

    expected = 0.0
    for step in range(1, steps + 1):
        moved = activation(step / steps) - activation((step - 1) / steps)
        for position in range(1, ids.shape[1]):
            slope = (odds(step / steps, position, 1e-2) - odds(step / steps, position, -1e-2)) / 2e-2
            expected += slope * float(moved[position])
    found = conductance_ranking(lm, association, [item], steps=steps)
    assert abs(expected) > 1e-7
    assert float(found[index]) == pytest.approx(abs(expected), rel=2e-3)


def test_no_items_is_an_error(world):
    with pytest.raises(ConfigurationError, match="needs items"):
        conductance_ranking(*world, [])
