"""The causal frontier: its points against forwards made by hand, its doses against its points."""

import numpy as np
import pytest
import torch
from tests.unit.attribution.ablation.test_causal import items_of, text_of
from tests.unit.attribution.worlds import CONCEPTS, association_of, label_tokens, tiny_lm

from semprune.attribution.ablation.ablated import ablated_runs
from semprune.attribution.ablation.causal import causal_check, causal_rows
from semprune.attribution.ablation.frontier import _Curve, collateral_measures, dose_matched, frontier_points
from semprune.attribution.ablation.neuron_sets import mean_replacements
from semprune.backbones import ablate
from semprune.errors import ConfigurationError
from semprune.statistics.dose import at_dose

SHARES = [0.1, 0.3]


@pytest.fixture(scope="module")
def world():
    lm = tiny_lm()
    neurons = sum(site.width for site in lm.sites)
    matrix = torch.rand(neurons, 2, generator=torch.Generator().manual_seed(0)) + 0.1
    return lm, association_of(lm, matrix), torch.arange(neurons, dtype=torch.float32) + 1


@pytest.fixture(scope="module")
def asked(world):
    ranking = world[2]
    return {"share": SHARES, "draws": 3, "rankings": {"own": ranking}, "labels": label_tokens, "first": 2}


@pytest.fixture(scope="module")
def runs(world, asked):
    lm, association, _ = world
    domain = text_of().flip(1)[:4]
    return ablated_runs(
        lm, association, CONCEPTS, items_of(), text_of(), divergence=True, domain=domain, **asked
    )  # fmt: skip


@pytest.fixture(scope="module")
def points(runs):
    return frontier_points(runs, "praise", "movie_reviews")


def logprobs(lm, text):
    with torch.no_grad():
        return lm.model(text).logits[:, 1:-1].double().log_softmax(-1)


@pytest.mark.parametrize(("name", "text"), [("general", text_of()), ("domain", text_of().flip(1)[:4])])
def test_divergence_and_log_perplexity_are_those_of_two_forwards(world, points, name, text):
    lm, association, ranking = world
    chosen = ranking.topk(int(0.3 * len(ranking))).indices
    dense = logprobs(lm, text)
    with ablate(lm.model, mean_replacements(association, chosen)):
        held = logprobs(lm, text)
    own = points[(points["selection"] == "own") & (points["share"] == 0.3)].set_index("measure")
    divergence = (dense.exp() * (dense - held)).sum(-1).mean()
    assert own.loc[f"kl_{name}", "value"] == pytest.approx(float(divergence), rel=1e-4)
    wanted = text[:, 2:, None]
    nll = (dense.gather(-1, wanted) - held.gather(-1, wanted)).mean()
    assert own.loc[f"log_perplexity_{name}", "value"] == pytest.approx(float(nll), abs=1e-6)
    assert own.loc[f"kl_{name}", "n"] == len(text)


def test_losses_are_the_drops_of_the_causal_check_of_the_same_runs(world, asked, runs, points):
    lm, association, _ = world
    alone = causal_check(lm, association, CONCEPTS, items_of(), text_of(), target="praise", **asked)
    table = causal_rows(runs, "praise", "movie_reviews")
    assert table.equals(alone)  # the divergence is measured in the same forwards, and changes nothing
    drops = table[table["selection"] != "dense"].set_index(["selection", "share", "metric"])
    for metric in ("auroc", "concept_logprob"):
        lost = points[points["measure"] == f"{metric}_lost"]
        assert len(lost) == 2 * 6
        for row in lost.to_dict("records"):
            drop = drops.loc[(row["selection"], row["share"], metric)]
            assert row["value"] == pytest.approx(-drop["difference"])
            assert row["value_low"] == pytest.approx(-drop["difference_high"], nan_ok=True)
    ppl = table[table["metric"] == "perplexity"].set_index(["selection", "share"])["value"]
    own = points[(points["measure"] == "log_perplexity_general") & (points["selection"] == "own")]
    expected = [np.log(ppl["own", share] / ppl["dense", share]) for share in SHARES]
    assert own["value"].tolist() == pytest.approx(expected, abs=1e-6)


def test_losses_at_a_dose_lie_on_the_lines_between_the_points(runs, points):
    kl = points[points["measure"] == "kl_general"].pivot_table(index="selection", columns="share", values="value")
    dose = float(kl.loc["own"].mean())
    table = dose_matched(runs, "praise", "movie_reviews", doses=[dose, 1e3])
    lost = points[points["measure"] == "auroc_lost"].pivot_table(index="selection", columns="share", values="value")
    own = table[(table["measure"] == "auroc_lost") & (table["collateral"] == "kl_general")]
    own = own.set_index(["selection", "dose"])
    for name in kl.index:
        expected = at_dose(kl.loc[name].to_numpy(), lost.loc[name].to_numpy(), dose)
        assert own.loc[(name, dose), "lost"] == pytest.approx(float(expected), nan_ok=True)
        assert own.loc[(name, dose), "largest"] == pytest.approx(kl.loc[name].max())
        assert np.isnan(own.loc[(name, 1e3), ["lost", "lost_low", "share", "excess"]].astype(float)).all()
    at, matched = own.loc[("own", dose)], own.loc[("matched_random", dose)]
    assert SHARES[0] < at["share"] < SHARES[1]
    assert at["lost_low"] <= at["lost"] <= at["lost_high"]
    assert at["excess"] == pytest.approx(at["lost"] - matched["lost"], nan_ok=True)
    assert own.loc[("matched_random", dose), "excess"] == pytest.approx(0, nan_ok=True)


def test_how_much_draws_differ_is_in_the_interval(world):
    """One draw says nothing of others: it has no interval; more have one that grows with their spread."""
    lm, association, ranking = world
    given = {"share": [0.3], "rankings": {"own": ranking}, "divergence": True}
    table = {}
    for draws in (1, 2):
        runs = ablated_runs(lm, association, CONCEPTS, items_of(), text_of(), draws=draws, **given)
        found = dose_matched(runs, "praise", "movie_reviews", doses=[1e-6])
        found = found[(found["measure"] == "auroc_lost") & (found["collateral"] == "kl_general")]
        table[draws] = found.set_index("selection")
    assert np.isnan(table[1].loc["matched_random", "lost_low"])
    assert np.isfinite(table[1].loc["own", "lost_low"])
    assert np.isfinite(table[2].loc["matched_random", "lost_low"])


def test_a_set_is_held_against_one_more_draw_and_not_against_the_mean_of_draws(runs):
    """Three draws' mean lies within √(1/3) of their spread, one more of them within √(1 + 1/3): twice as wide."""
    checks = sorted(runs, key=lambda each: each.share)
    (cost,) = [each for each in collateral_measures(checks[0].runs["dense"][0]) if each.name == "kl_general"]
    curve = _Curve.of(checks, cost, "matched_random", 0)
    drawn = [curve.drawn(one_more=one_more) for one_more in (False, True)]
    widths = [np.diff(np.percentile(each, [2.5, 97.5], axis=0), axis=0)[0] for each in drawn]
    assert (widths[1] > 1.5 * widths[0]).all()
    assert (widths[1] < 2.1 * widths[0]).all()


def test_a_frontier_without_divergence_is_refused(world):
    lm, association, _ = world
    runs = ablated_runs(lm, association, CONCEPTS, items_of(8), text_of(), share=0.2, draws=1)
    with pytest.raises(ConfigurationError, match="pass `divergence=True`"):
        frontier_points(runs, "praise", "movie_reviews")
