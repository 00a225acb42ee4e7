"""Mediation: against forwards made by hand, where nothing was lost, by layer and by position."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tests.unit.attribution.ablation.test_causal import items_of, text_of
from tests.unit.attribution.worlds import association_of, tiny_lm

from semprune.attribution.ablation.ablated import ablated_runs
from semprune.attribution.ablation.measurements import auroc
from semprune.attribution.ablation.mediation import mediate
from semprune.attribution.ablation.neuron_sets import matched_random
from semprune.backbones import capture, neuron_sites
from semprune.backbones.capture import site_hooks
from semprune.errors import BackboneMismatchError, ConfigurationError, SettingError
from semprune.evaluation import predict_items
from semprune.evaluation.predictions.prediction import choice_scores
from semprune.report.tables.mediation import recovered_text
from semprune.statistics.auroc import binary_auroc, label_log_odds


def damaged(lm, layers=(0, 1)):
    """A copy whose neurons in some layers answer otherwise; what they write is the same."""
    model = copy.deepcopy(lm.model)
    for layer in layers:
        mlp = model.model.layers[layer].mlp
        for projection in (mlp.gate_proj, mlp.up_proj):
            generator = torch.Generator().manual_seed(layer)
            projection.weight.data.copy_(torch.randn(projection.weight.shape, generator=generator))
    return replace(lm, model=model)


@pytest.fixture(scope="module")
def world():
    lm = tiny_lm()
    neurons = sum(site.width for site in lm.sites)
    association = association_of(lm, torch.ones(neurons, 2))
    association.rms.copy_(torch.rand(neurons, generator=torch.Generator().manual_seed(1)))
    ranking = torch.rand(neurons, generator=torch.Generator().manual_seed(2)) + 0.1
    return lm, association, ranking


@pytest.fixture(scope="module")
def items(world):
    return known_items(world[0])


def known_items(lm):
    """Items that this model answers rightly but for two: what any damage costs is clear."""
    made = items_of(32)
    order = np.argsort([odds(lm.model, lm.tokenizer, item) for item in made])
    right = {int(index): int(rank >= 16) for rank, index in enumerate(order)}
    return [replace(item, label=right[k] if k % 16 else 1 - right[k]) for k, item in enumerate(made)]


def odds(model, tokenizer, item):
    good, bad = (tokenizer(each[1])["input_ids"][0] for each in item.requests)
    ids = torch.tensor([tokenizer(item.requests[0][0])["input_ids"]])
    with torch.no_grad():
        last = model(ids).logits[0, -1].double()
    return float(last[bad] - last[good])


def patched_odds(lm, pruned, item, rows, where=slice(None), sites=None):
    """Two forwards of one item by itself."""
    sites = sites or lm.sites
    ids = torch.tensor([lm.tokenizer(item.requests[0][0])["input_ids"]])
    kept = {}
    with torch.no_grad(), capture(lm.model, sites, lambda site, value: kept.update({site.name: value.clone()})):
        lm.model(ids)

    def edit(site, activations):
        first = sum(other.width for other in sites[: sites.index(site)])
        own = [row - first for row in rows.tolist() if first <= row < first + site.width]
        changed = activations.clone()
        for neuron in own:
            changed[:, where, neuron] = kept[site.name][:, where, neuron]
        return changed

    with site_hooks(pruned.model, sites, edit):
        return odds(pruned.model, lm.tokenizer, item)


def area(values, items):
    return float(binary_auroc(np.array(values), np.array([item.label == 1 for item in items])))


def test_every_row_is_two_forwards_of_each_item(world, items):
    lm, association, ranking = world
    pruned = damaged(lm)
    table = mediate(lm, pruned, association, items, {"own": ranking}, share=0.2, draws=2, seed=5, token_budget=64)
    assert table["neurons"].tolist() == ["chosen", "matched", "others"] * 2
    rows = table[table["into"] == "pruned"].set_index("neurons")
    top = ranking.topk(int(0.2 * len(ranking))).indices
    generator = torch.Generator().manual_seed(5)
    sets = {"chosen": [top], "matched": [matched_random(association, top, generator) for _ in range(2)]}
    dense, before = (area([odds(m.model, lm.tokenizer, i) for i in items], items) for m in (lm, pruned))
    assert rows["dense"].tolist() == pytest.approx([dense] * 3)
    assert rows["pruned"].tolist() == pytest.approx([before] * 3)
    for name, draws in sets.items():
        areas = [area([patched_odds(lm, pruned, item, chosen) for item in items], items) for chosen in draws]
        assert rows.loc[name, "patched"] == pytest.approx(np.mean(areas))
        assert rows.loc[name, "recovered"] == pytest.approx((np.mean(areas) - before) / (dense - before))
        assert rows.loc[name, "recovered_low"] < rows.loc[name, "recovered"] < rows.loc[name, "recovered_high"]
    chosen = table[(table["into"] == "dense") & (table["neurons"] == "chosen")].iloc[0]
    backwards = area([patched_odds(pruned, lm, item, top) for item in items], items)
    assert chosen["patched"] == pytest.approx(backwards)
    assert chosen["recovered"] == pytest.approx((backwards - dense) / (before - dense))


@pytest.mark.parametrize("kinds", [("attention",), ("mlp", "attention")])
def test_neurons_of_attention_are_patched_where_they_are(world, items, kinds):
    lm = world[0]
    sites = neuron_sites(lm.model, lm.family, kinds)
    neurons = sum(site.width for site in sites)
    own = replace(association_of(lm, torch.ones(neurons, 2)), sites=sites)
    own.rms.copy_(torch.rand(neurons, generator=torch.Generator().manual_seed(1)))
    ranking = torch.rand(neurons, generator=torch.Generator().manual_seed(2)) + 0.1
    settings = {"share": 0.3, "draws": 2, "reversed_too": False, "token_budget": 64}
    table = mediate(lm, damaged(lm), own, items, {"own": ranking}, **settings)
    top = ranking.topk(int(0.3 * neurons)).indices
    areas = [patched_odds(lm, damaged(lm), item, top, sites=sites) for item in items]
    assert table.set_index("neurons").loc["chosen", "patched"] == pytest.approx(area(areas, items))
    names = [site.name for site in sites for _ in range(site.width)]
    matched = matched_random(own, top, torch.Generator().manual_seed(0))
    assert [names[row] for row in matched] == sorted((names[row] for row in top), key=names.index)


def test_what_a_pruned_model_does_better_is_no_loss(world, items):
    lm, association, ranking = world
    better = mediate(damaged(lm), lm, association, items, {"own": ranking}, share=0.2, draws=2, token_budget=64)
    assert (better["pruned"] > better["dense"] + 0.2).all()
    assert better["recovered"].isna().all()
    assert recovered_text(better.iloc[0].to_dict()) == "nothing lost"


def test_one_class_is_told_from_all_others(world):
    lm, association, ranking = world
    pruned, three = damaged(lm), [with_third_answer(item, k) for k, item in enumerate(known_items(lm))]
    given = (lm, pruned, association, three, {"own": ranking})
    table = mediate(*given, label=2, share=0.2, draws=2, reversed_too=False)
    for model, found in ((lm, table["dense"]), (pruned, table["pruned"])):
        scores = choice_scores(predict_items(model, three))
        own = label_log_odds(scores.scores, 2)
        assert found.tolist() == pytest.approx([binary_auroc(own, scores.labels == 2)] * 3)
    assert table["dense"].tolist() != pytest.approx(mediate(*given, share=0.2, draws=2)["dense"][:3].tolist())


def test_the_causal_check_tells_a_class_as_mediation_does(world):
    lm, association, ranking = world
    three = [with_third_answer(item, k) for k, item in enumerate(known_items(lm))]
    mediated = mediate(lm, damaged(lm), association, three, {"own": ranking}, label=2, share=0.2, draws=2)
    given = {"share": 0.2, "draws": 1, "rankings": {"own": ranking}}
    values = {}
    for label in (2, None):
        (found,) = ablated_runs(lm, association, association.concepts[:1], three, text_of(), label=label, **given)
        values[label] = float(auroc(found.runs["dense"])(np.ones((1, len(three))))[0])
    assert values[2] == pytest.approx(mediated["dense"].iloc[0])
    assert values[None] != pytest.approx(values[2])


def with_third_answer(item, number):
    """An item with an answer more, which is the right one of every fourth."""
    another = item.requests[0][0], item.requests[0][1] + item.requests[1][1]
    return replace(item, requests=(*item.requests, another), label=2 if number % 4 == 0 else item.label)


def test_of_two_classes_each_is_told_as_well(world, items):
    lm, association, ranking = world
    found = [
        mediate(lm, damaged(lm), association, items, {"own": ranking}, label=label, share=0.2, draws=2)
        for label in (None, 0, 1)
    ]
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)


def test_a_ranking_that_names_too_few_is_refused(world):
    lm, association, ranking = world
    few = torch.where(torch.arange(len(ranking)) < 4, ranking, 0)
    with pytest.raises(ConfigurationError, match=r"'few' names only 4 neurons, 5 were asked for"):
        mediate(lm, lm, association, items_of(4), {"few": few}, share=5.1 / len(ranking))
    with pytest.raises(ConfigurationError, match=r"none of the first 4 neurons by 'few' lies in these layers"):
        mediate(lm, lm, association, items_of(4), {"few": few}, share=4.1 / len(ranking), layers=(1, 1))


@pytest.mark.parametrize(("positions", "share"), [("readout", 1.0), ("before_readout", 0.0), ("all", 1.0)])
def test_what_the_last_layer_lost_comes_back_at_the_readout_alone(world, positions, share):
    lm, association, ranking = world
    lm = replace(lm, model=copy.deepcopy(lm.model))
    lm.model.model.layers[1].mlp.down_proj.weight.data.mul_(5)
    lm.model.model.layers[1].mlp.down_proj.weight.data[:, -1] = 0
    one = ranking.clone()
    one[-1] = 9  # the top is one neuron of the last layer that writes nothing: all others are what matters
    settings = {"share": 0.001, "layers": (1, 1), "positions": positions, "reversed_too": False}
    table = mediate(lm, damaged(lm, (1,)), association, known_items(lm), {"one": one}, **settings)
    recovered = table.set_index("neurons")["recovered"]
    assert recovered["others"] == pytest.approx(share)
    assert recovered["chosen"] == pytest.approx(0)
    assert (table["first_layer"] == 1).all()


def test_a_layer_range_patches_those_of_the_same_top_that_lie_there(world, items):
    lm, association, ranking = world
    top = ranking.topk(int(0.2 * len(ranking))).indices
    found = []
    for layer in (0, 1):
        table = mediate(lm, damaged(lm), association, items, {"own": ranking}, share=0.2, layers=(layer, layer))
        own = int((association.layer[top] == layer).sum())
        ks = table.drop_duplicates("neurons").set_index("neurons")["k"]
        assert ks.to_dict() == {"chosen": own, "matched": own, "others": lm.sites[layer].width - own}
        found.append(own)
    assert sum(found) == len(top)


def test_where_nothing_was_lost_there_is_no_share(world, items):
    lm, association, ranking = world
    table = mediate(lm, replace(lm, model=copy.deepcopy(lm.model)), association, items, {"own": ranking}, share=0.2)
    assert table["recovered"].isna().all()
    assert table["recovered_low"].isna().all()
    assert table["patched"].tolist() == pytest.approx(table["dense"].tolist())


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"draws": 1}, SettingError, "draws must be at least 2"),
        ({"share": 1.0}, SettingError, r"share must be in \(0, 1\)"),
        ({"layers": (1, 9)}, SettingError, "a first and a last layer within 0 … 1"),
        ({"label": 2}, SettingError, "label must be a class of 0 … 1 that some items have and some have not"),
        ({"positions": "last"}, SettingError, "positions must be one of all, before_readout, readout"),
        ({"rankings": {"own": torch.ones(3)}}, SettingError, "one finite number for each of the"),
        ({"rankings": {}}, ConfigurationError, "name at least one ranking"),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(world, settings, error, said):
    lm, association, ranking = world
    given = {"rankings": {"own": ranking}, "progress": lambda *_: pytest.fail("it ran"), **settings}
    with pytest.raises(error, match=said):
        mediate(lm, lm, association, items_of(4), **given)


def test_a_model_with_other_neurons_is_refused(world):
    lm, association, ranking = world
    with pytest.raises(BackboneMismatchError, match="the pruned model was made with"):
        mediate(lm, tiny_lm(intermediate_size=12), association, items_of(4), {"own": ranking})
