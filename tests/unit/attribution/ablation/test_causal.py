"""The causal check: its rows against runs made by hand, its controls, and specificity on planted neurons."""

import numpy as np
import pytest
import torch
from tests.unit.attribution.worlds import CONCEPTS, PLANTED, WORDS, association_of, label_tokens, tiny_lm

from semprune.attribution.ablation.causal import causal_check, compared
from semprune.attribution.ablation.concept_logprob import concept_logprobs
from semprune.attribution.ablation.neuron_sets import global_neurons, mean_replacements
from semprune.attribution.ablation.specificity import causal_specificity
from semprune.attribution.gradients.rankings import gradient_rankings
from semprune.backbones import ablate
from semprune.backbones.capture import site_hooks
from semprune.errors import ConfigurationError, SettingError
from semprune.evaluation import predict_items
from semprune.evaluation.metrics import measure
from semprune.evaluation.predictions.prediction import choice_scores
from semprune.types import Item


def items_of(count=16, start=0):
    generator = torch.Generator().manual_seed(start)
    out = []
    for number in range(count):
        words = [WORDS[k] for k in torch.randint(2, len(WORDS), (4,), generator=generator)]
        requests = ((" ".join(words), " good"), (" ".join(words), " bad"))
        out.append(Item("movie_reviews", f"{start}-{number}", f"{start}-{number}", requests, number % 2, "tiny"))
    return out


def text_of(sequences=6, tokens=12):
    return torch.randint(2, len(WORDS), (sequences, tokens), generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def world():
    lm = tiny_lm()
    neurons = sum(site.width for site in lm.sites)
    matrix = torch.rand(neurons, 2, generator=torch.Generator().manual_seed(0)) + 0.1
    return lm, association_of(lm, matrix)


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


def test_the_perplexity_leaves_out_the_special_tokens_of_the_text(world):
    lm, association = world
    text = text_of()
    asked = {"target": "praise", "share": 0.05, "draws": 1, "first": 3}
    table = causal_check(lm, association, CONCEPTS, items_of(), text, **asked)
    dense = table[(table["selection"] == "dense") & (table["metric"] == "perplexity")]
    with torch.no_grad():
        logprobs = lm.model(text).logits[:, 2:-1].log_softmax(-1)
    nll = -logprobs.gather(-1, text[:, 3:, None]).mean(dim=(1, 2))
    assert dense["value"].tolist() == [pytest.approx(float(nll.mean().exp()), rel=1e-4)]


def test_several_shares_and_rankings_are_measured_against_runs_by_hand(world):
    lm, association = world
    items, text = items_of(), text_of()
    ranking = torch.arange(len(association.rms), dtype=torch.float32)
    table = causal_check(
        lm, association, CONCEPTS, items, text, target="praise", share=[0.05, 0.2], draws=2,
        rankings={"probe": ranking}, labels=label_tokens,
    )  # fmt: skip
    assert set(table["metric"]) == {"auroc", "perplexity", "label_logprob", "concept_logprob"}
    names = {"dense", "probe", "association", "matched_random", "random", "mean_activation", "global"}
    assert set(table["selection"]) == names
    assert table["share"].drop_duplicates().tolist() == [0.05, 0.2]
    k = int(0.2 * len(ranking))
    with ablate(lm.model, mean_replacements(association, ranking.topk(k).indices)):
        scored = choice_scores(predict_items(lm, items))
        words = concept_logprobs(lm, label_tokens, text)
        logits = lm.model(text).logits.double().log_softmax(-1)
    own = table[(table["share"] == 0.2) & (table["selection"] == "probe")].set_index("metric")
    once = np.ones((1, len(items)))
    assert own.loc["auroc", "value"] == pytest.approx(float(measure("auroc", scored, once)[0]))
    right = log_softmax(scored.scores)[np.arange(len(items)), scored.labels].mean()
    assert own.loc["label_logprob", "value"] == pytest.approx(right)
    carried = label_tokens(text, torch.ones_like(text)).any(-1)
    by_hand = [
        float(logits[i, t - 1, text[i, t]]) for i in range(len(text)) for t in range(1, text.shape[1]) if carried[i, t]
    ]
    assert own.loc["concept_logprob", "value"] == pytest.approx(np.mean(by_hand), rel=1e-5)
    assert words.counts.sum() > len(by_hand)  # words of both concepts count for both
    dense = table[(table["share"] == 0.2) & (table["selection"] == "dense")].set_index("metric")
    assert own.loc["auroc", "difference"] == pytest.approx(own.loc["auroc", "value"] - dense.loc["auroc", "value"])
    assert own.loc["perplexity", "difference_low"] <= own.loc["perplexity", "difference"]
    again = table[(table["share"] == 0.05) & (table["selection"] == "dense")].set_index("metric")
    assert again["value"].equals(dense["value"])


def test_one_share_gives_the_rows_it_always_gave(world):
    lm, association = world
    table = causal_check(lm, association, CONCEPTS, items_of(), text_of(), target="praise", share=0.05, draws=1)
    required = ["target", "dataset", "share", "k", "selection", "draws", "metric", "value", "low", "high", "n",
                "difference", "p", "excess", "excess_low", "excess_high", "excess_p"]  # fmt: skip
    assert set(required) <= set(table.columns)
    matched = table[table["selection"] == "matched_random"]
    assert (matched["excess"] == 0).all()


def test_the_error_against_random_sets_holds_how_their_draws_differ():
    units = [str(document) for document in range(30)]

    def mean(runs):
        return lambda weights: np.full(len(weights), np.mean(runs))  # no document matters

    runs = {"dense": [5.0], "association": [0.0], "matched_random": [1.0, 3.0], "random": [1.0, 3.0, 5.0]}
    chosen = compared(mean, units, runs, "association", "matched_random")
    assert (chosen.value, chosen.error, chosen.freedom) == pytest.approx((-2.0, np.sqrt(2 * 1.5), 1))
    assert compared(mean, units, runs, "dense", "matched_random").error == pytest.approx(np.sqrt(2 / 2))
    both = compared(mean, units, runs, "random", "matched_random")
    assert both.error == pytest.approx(np.sqrt(4 / 3 + 2 / 2))
    assert compared(mean, units, runs, "association", "dense").error == 0
    runs["matched_random"] = [1.0]
    assert np.isnan(compared(mean, units, runs, "association", "matched_random").interval).all()


def test_global_neurons_answer_most_to_any_concept(world):
    _, association = world
    association.any_concept[[5, 9]] = torch.tensor([-3.0, 2.0])
    assert global_neurons(association, 2).tolist() == [5, 9]
    association.any_concept.zero_()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"share": 1.0}, r"share must be in \(0, 1\)"),
        ({"rankings": {"random": torch.zeros(3)}}, "rankings must be named otherwise than"),
        ({"rankings": {"probe": torch.zeros(3)}}, "one finite number for each of the"),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(world, settings, said):
    lm, association = world
    with pytest.raises(SettingError, match=said):
        causal_check(
            lm, association, CONCEPTS, [], text_of(), target="x", progress=lambda _: pytest.fail("it ran"), **settings
        )


def test_gradients_rank_by_what_shifting_each_neuron_does(world):
    """Every item's own first-order effect, from finite differences of the right choice's log-odds."""
    lm, association = world
    items = items_of(4, start=50)
    found = gradient_rankings(lm, association, items, token_budget=16)

    def odds():
        scores = log_softmax(choice_scores(predict_items(lm, items)).scores)
        right = np.array([item.label for item in items])
        places = np.arange(len(items))
        return float((scores[places, right] - scores[places, 1 - right]).mean())

    offset, step = lm.sites[0].width, 1e-2
    for neuron in (0, 3, 7):
        change = []
        for factor in (1 + step, 1 - step):

            def scale(_, activations, neuron=neuron, factor=factor):
                edited = activations.clone()
                edited[:, 1:, neuron] *= factor
                return edited

            with site_hooks(lm.model, [lm.sites[1]], scale):
                change.append(odds())
        expected = abs(change[0] - change[1]) / (2 * step)
        assert float(found["gradient_activation"][offset + neuron]) == pytest.approx(expected, rel=0.02, abs=2e-5)
    assert torch.equal(found["gradient_activation"], found["mean_ablation_gradient"])  # all means are 0 here


def test_a_ranking_without_items_is_refused(world):
    lm, association = world
    with pytest.raises(ConfigurationError, match="items that the check does not score"):
        gradient_rankings(lm, association, [])


@pytest.fixture(scope="module")
def writers():
    """A model in which the first neurons of the last layer write one concept's words each, whatever they read."""
    lm = tiny_lm(intermediate_size=24)
    body, head = lm.model.model, lm.model.get_output_embeddings().weight
    with torch.no_grad():
        last = body.layers[-1].mlp
        head.copy_(torch.randn(head.shape, generator=torch.Generator().manual_seed(5)) * 0.3)
        for name, rows in PLANTED.items():
            words = [2, 3] if name == "praise" else [4, 5]
            last.down_proj.weight[:, rows] = head[words].mean(0)[:, None]
            head[words] *= 2
    matrix = torch.zeros(sum(s.width for s in lm.sites), 2)
    offset = lm.sites[0].width
    for c, rows in enumerate(PLANTED.values()):
        matrix[[offset + row for row in rows], c] = 1.0
    held = {"h": []}
    with torch.no_grad():
        ids = text_of(8, 20)
        hook = last.down_proj.register_forward_pre_hook(lambda _, args: held["h"].append(args[0].flatten(0, 1)))
        lm.model(ids)
        hook.remove()
    association = association_of(lm, matrix)
    association.rms[offset:] = torch.cat(held["h"]).square().mean(0).sqrt()
    return lm, association


def test_specificity_is_the_own_effect_less_the_mean_of_the_others(writers):
    lm, association = writers
    text = text_of(8, 20)
    table = causal_specificity(lm, association, CONCEPTS, label_tokens, text, share=4 / len(association.rms))
    effects = table.pivot_table(index="ablated", columns="measured", values="effect")
    for own, other in (CONCEPTS, CONCEPTS[::-1]):
        assert effects.loc[own, "specificity"] == pytest.approx(effects.loc[own, own] - effects.loc[own, other])
    assert table["k"].eq(4).all()
    assert (table["low"] <= table["effect"]).all()
    assert (table["effect"] <= table["high"]).all()


def test_one_concept_has_no_specificity(writers):
    lm, association = writers
    with pytest.raises(ConfigurationError, match="two or more"):
        causal_specificity(lm, association, ["praise"], label_tokens, text_of())


def test_a_further_ranking_that_names_too_few_neurons_is_refused(world):
    lm, association = world
    ranking = torch.zeros(len(association.rms))
    ranking[:3] = 1.0
    with pytest.raises(ConfigurationError, match=r"ranking 'lape' names only 3 neurons, \d+ were asked for"):
        causal_check(
            lm, association, CONCEPTS, items_of(4), text_of(), target="praise", share=0.1, rankings={"lape": ranking}
        )
