"""What single neurons carry: held alone and let go, against ablations by hand."""

import numpy as np
import pytest
import torch
from tests.unit.attribution.ablation.test_causal import items_of, text_of
from tests.unit.attribution.worlds import association_of, tiny_lm

from semprune.attribution.ablation.carriers import carriers, separation
from semprune.attribution.ablation.neuron_sets import mean_replacements
from semprune.backbones import ablate
from semprune.backbones.capture import capture
from semprune.errors import ConfigurationError, SettingError
from semprune.evaluation import predict_items
from semprune.evaluation.predictions.prediction import choice_scores


@pytest.fixture(scope="module")
def world():
    lm = tiny_lm()
    neurons = sum(site.width for site in lm.sites)
    matrix = torch.rand(neurons, 2, generator=torch.Generator().manual_seed(0)) + 0.1
    return lm, association_of(lm, matrix)


def test_alone_and_with_the_others_are_differences_of_ablations(world):
    lm, association = world
    items, chosen = items_of(), torch.tensor([5, 2, lm.sites[0].width + 1])
    table = carriers(lm, association, items, chosen, text_of(), first=2)
    assert table["neuron"].tolist() == ["layers.0.mlp/5", "layers.0.mlp/2"]

    def value(*rows):
        """Half of the mean log-odds of the two classes' items apart, which have as many items."""
        with ablate(lm.model, mean_replacements(association, torch.tensor(rows, dtype=torch.long))):
            scored = choice_scores(predict_items(lm, items))
        logprobs = scored.scores - np.log(np.exp(scored.scores).sum(1, keepdims=True))
        odds = logprobs[:, 0] - logprobs[:, 1]
        return (odds[scored.labels == 0].mean() - odds[scored.labels == 1].mean()) / 4

    third = int(chosen[2])
    assert table["dense"].tolist() == pytest.approx([value()] * 2)
    assert table["together"].tolist() == pytest.approx([value() - value(5, 2, third)] * 2)
    assert table["alone"].tolist() == pytest.approx([value() - value(5), value() - value(2)])
    assert table["with_others"].tolist() == pytest.approx(
        [value(2, third) - value(5, 2, third), value(5, third) - value(5, 2, third)]
    )
    assert (table["alone_low"] <= table["alone"]).all()


def test_what_excites_a_neuron_is_its_largest_activation_in_the_text(world):
    lm, association = world
    text, seen = text_of(), []
    table = carriers(lm, association, items_of(4), torch.tensor([5, 2]), text, first=1)
    with torch.no_grad(), capture(lm.model, lm.sites[:1], lambda _, h: seen.append(h[..., 5])):
        lm.model.base_model(text)
    best = seen[0][:, 1:].flatten().argmax()
    token = text[:, 1:].flatten()[best]
    assert f"‹{lm.tokenizer.decode([token])}›" in table.loc[0, "excited_by"]


def test_separation_does_not_hang_on_a_liking_for_an_answer():
    logprobs = np.log([[0.5, 0.25], [0.25, 0.5], [0.3, 0.1]])
    labels, once = np.array([0, 1, 1]), np.ones((1, 3))
    moved = separation(logprobs + np.array([2.0, 0.0]), labels)(once)
    assert moved == pytest.approx(separation(logprobs, labels)(once))


def test_a_set_of_one_is_refused(world):
    lm, association = world
    with pytest.raises(SettingError, match="two neurons or more"):
        carriers(lm, association, items_of(4), torch.tensor([5]), text_of())


def test_what_a_neuron_writes_is_empty_where_it_cannot_be_read_off(world, monkeypatch):
    def unread(*_):
        raise ConfigurationError("the unembedding reads 8 features, the residual stream has 16")

    monkeypatch.setattr("semprune.attribution.ablation.carriers.written_tokens", unread)
    table = carriers(*world, items_of(4), torch.tensor([5, 2]), text_of(), first=1)
    assert table["writes"].tolist() == [""]
