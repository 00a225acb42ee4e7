"""Baselines: each against a slow reference, all under one contract, and the gradients against finite differences."""

import pytest
import torch
from sklearn.metrics import roc_auc_score
from tests.planted.llama import NAMES, WIDTH, PlantedLlama
from tests.planted.world import World, WorldSize, ranking_precision

from semprune.attribution.association.score import association_score
from semprune.attribution.fit.closed_form import fit_closed_form
from semprune.attribution.gradients.site_gradients import integrated_site_gradients, site_gradients
from semprune.attribution.held_out.observations import Observations, next_token_log_probability
from semprune.attribution.rankings import document_rankings, rank_by
from semprune.backbones import ablate
from semprune.backbones.capture import site_hooks
from semprune.errors import SettingError

STREAMED = ("mean_activation", "mean_difference", "standardised_difference", "lape")


@pytest.fixture(scope="module")
def world():
    return World(WorldSize(documents=120), seed=2)


@pytest.fixture(scope="module")
def observations(world):
    learner = fit_closed_form(world.backbone(), world.labeller(), world.shape, world.batches)
    return Observations(world.backbone(), learner, world.labeller(), world.batches)


@pytest.fixture(scope="module")
def llama():
    return PlantedLlama()


@pytest.fixture(scope="module")
def of_llama(llama):
    def batches():
        return llama.batches(40)

    learner = fit_closed_form(llama.lm, llama.labeller, llama.shape, batches)

    def target_after_concept(logits, seen):
        """Log-probability of each concept's target right after the concept's words: what was planted."""
        return (logits.log_softmax(-1)[..., llama.target] * (seen.labels & seen.valid[..., None])).sum((0, 1))

    return Observations(llama.lm, learner, llama.labeller, batches, target_after_concept)


def slow(world, statistic):
    """A statistic of the values with and without each concept, neuron by neuron."""
    h = torch.cat(world.activations, -1)[:, 1:]
    columns = []
    for values, labels in (
        (h.flatten(0, 1), world.labels[:, 1:].flatten(0, 1)),
        (h.mean(1)[world.dataset == 0], torch.stack([world.classes == 0, world.classes == 1], 1)[world.dataset == 0]),
    ):
        columns += [statistic(values[y].double(), values[~y].double()) for y in labels.T]
    return torch.stack(columns, 1)


def cohen(present, absent):
    return (present.mean(0) - absent.mean(0)) / torch.cat([present, absent]).std(0, correction=0).clamp(min=1e-12)


@pytest.mark.parametrize(
    ("name", "statistic"),
    [
        ("mean_activation", lambda present, absent: present.mean(0)),
        ("mean_difference", lambda present, absent: present.mean(0) - absent.mean(0)),
        ("standardised_difference", cohen),
    ],
)
def test_streamed_statistics_equal_those_of_all_values_at_once(world, observations, name, statistic):
    expected = slow(world, statistic)
    ranking = rank_by(name, observations).double()
    alive = world.kind != 8
    scale = torch.cat(world.activations, -1).double().flatten(0, 1).std(0).clamp(min=1)[alive, None]
    if name == "standardised_difference":
        scale = torch.ones_like(scale)
    torch.testing.assert_close(ranking[alive] / scale, expected[alive] / scale, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", document_rankings())
def test_every_baseline_ranks_all_neurons_and_finds_what_is_planted(llama, of_llama, name):
    ranking = rank_by(name, of_llama)
    assert ranking.shape == (2 * WIDTH, len(NAMES))
    assert torch.isfinite(ranking).all()
    assert not ranking[llama.dead].any()
    for concept in range(len(NAMES)):
        # against all neurons that do not answer to concepts; absence of a skill would give 0.5
        kept = llama.planted[:, concept] | (~llama.planted.any(1) & ~llama.global_)
        assert roc_auc_score(llama.planted[kept, concept], ranking[kept, concept]) > 0.8


def test_the_association_is_better_than_every_baseline_on_the_planted_world(world, observations):
    learner = observations.learner
    tokens = slice(0, world.size.concepts)
    ours = ranking_precision(association_score(learner.token.effect), world.own).mean()
    for name in (*STREAMED, "probe"):
        theirs = ranking_precision(rank_by(name, observations)[:, tokens], world.own).mean()
        assert ours > theirs + 0.05, name


def test_the_default_objective_is_the_log_probability_of_the_concepts_next_tokens(llama, of_llama):
    seen = next(iter(of_llama.labelled()))
    ids, labels = seen.batch.input_ids, seen.labels
    logits = torch.randn(*ids.shape, len(llama.lm.tokenizer), generator=torch.Generator().manual_seed(3))
    expected = torch.zeros(len(NAMES))
    for d in range(len(ids)):
        for t in range(1, ids.shape[1]):
            expected += labels[d, t] * logits[d, t - 1].log_softmax(-1)[ids[d, t]]
    torch.testing.assert_close(next_token_log_probability(logits, seen), expected, rtol=1e-4, atol=1e-2)


def test_an_unknown_baseline_names_the_known_ones(observations):
    with pytest.raises(SettingError, match="ranking must be one of elastic_net_probe, gradient"):
        rank_by("gradients", observations)


def output(of_llama, seen, concept):
    batch = seen.batch
    with torch.no_grad():
        logits = of_llama.lm.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        return of_llama.objective(logits, seen)[concept].double()


def test_gradients_at_neurons_equal_finite_differences(of_llama):
    seen = next(iter(of_llama.labelled()))
    sites = of_llama.learner.sites
    for site, _, gradient in site_gradients(of_llama, seen, 1, sites):
        for neuron in (0, 4, 30):

            def shift(own, activations, neuron=neuron, by=0.0):
                moved = activations.clone()
                moved[..., neuron] += by
                return moved

            values = []
            for by in (0.02, -0.02):
                with site_hooks(of_llama.lm.model, [site], lambda own, h, by=by: shift(own, h, by=by)):
                    values.append(output(of_llama, seen, 1))
            slope = float(values[0] - values[1]) / 0.04
            assert float(gradient[..., neuron].sum()) == pytest.approx(slope, rel=0.05, abs=0.1)


def test_integrated_gradients_add_up_to_the_change_of_the_output(of_llama):
    """Completeness (Sundararajan et al., proposition 1)."""
    seen = next(iter(of_llama.labelled()))
    learner = of_llama.learner
    for site in learner.sites:
        reference = learner.standardiser.median[learner.standardiser.index.where(site)]
        attributed = integrated_site_gradients(of_llama, seen, 0, site, reference, steps=50)
        with ablate(of_llama.lm.model, {site.name: (torch.arange(site.width), reference)}):
            start = output(of_llama, seen, 0)
        change = float(output(of_llama, seen, 0) - start)
        assert float(attributed.sum()) == pytest.approx(change, rel=0.02, abs=0.05)
