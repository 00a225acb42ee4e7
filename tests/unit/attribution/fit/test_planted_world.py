"""The association on a planted world, where the right answer is known."""

import pytest
import torch
from scipy.stats import binom, spearmanr
from tests.planted.world import KINDS, World, WorldSize, ranking_precision

from semprune.attribution.association.score import NEURON_CLASSES
from semprune.attribution.fit.closed_form import fit_closed_form
from semprune.attribution.fit.fitted import fitted_association
from semprune.errors import NonFiniteError


def fit(world, order=None):
    lm = world.backbone()
    learner = fit_closed_form(lm, world.labeller(order), world.shape, world.batches)
    return learner, fitted_association(learner, lm.fingerprint, {}, q=0.05)


@pytest.fixture(scope="module", params=[0, 1])
def planted(request):
    world = World(seed=request.param)
    learner, association = fit(world)
    return world, learner, association


def mean_activation(world):
    h, labels = torch.cat(world.activations, -1)[:, 1:].flatten(0, 1), world.labels[:, 1:].flatten(0, 1).float()
    return h.T @ labels / labels.sum(0)


def test_the_score_finds_exclusive_and_echo_neurons_where_mean_activation_does_not(planted):
    world, _, association = planted
    score = ranking_precision(association.score[:, : world.size.concepts], world.own)
    paper = ranking_precision(mean_activation(world), world.own)
    assert score.mean() >= 0.95
    assert score.min() >= 0.9
    assert paper.mean() < 0.3


@pytest.mark.parametrize("by", ["strength", "effect", "t"])
def test_every_ranking_finds_all_carriers(planted, by):
    world, _, association = planted
    names = association.concepts[: world.size.concepts]
    ranking = torch.stack([association.ranking(name, by) for name in names], dim=1)
    assert ranking_precision(ranking, world.truth).mean() >= 0.95


def test_false_discoveries_stay_below_a_tenth(planted):
    world, _, association = planted
    tokens = association.gate[:, : world.size.concepts]
    assert (tokens & world.truth).sum() >= 0.9 * world.truth.sum()
    assert (tokens & ~world.truth).sum() <= 0.10 * tokens.sum()
    classes = association.gate[:, world.size.concepts :]
    assert (classes & world.class_truth).sum() >= 0.9 * world.class_truth.sum()
    assert (classes & ~world.class_truth).sum() <= 0.10 * classes.sum()


def test_what_answers_to_something_else_is_not_taken_for_a_concept(planted):
    world, _, association = planted
    found = association.gate[:, : world.size.concepts].float()
    for kind in ("global", "positional", "frequent", "noise", "class"):
        assert found[world.kind == KINDS.index(kind)].mean() <= 0.05, kind


def test_dead_and_massive_neurons_are_listed_and_never_discoveries(planted):
    world, _, association = planted
    for kind in ("dead", "massive"):
        rows = world.kind == KINDS.index(kind)
        assert (association.neuron_class[rows] == NEURON_CLASSES.index(kind)).all()
        assert not association.gate[rows].any()
    assert (association.neuron_class[world.kind == KINDS.index("exclusive")] == NEURON_CLASSES.index("specific")).all()


def test_neurons_that_answer_to_any_concept_are_called_global(planted):
    world, _, association = planted
    called = association.neuron_class == NEURON_CLASSES.index("global")
    assert called[world.kind == KINDS.index("global")].float().mean() >= 0.95
    for kind in ("exclusive", "echo", "shared", "positional", "noise"):
        assert called[world.kind == KINDS.index(kind)].float().mean() <= 0.05, kind


def test_neurons_that_answer_to_the_position_are_called_positional(planted):
    world, _, association = planted
    called = association.neuron_class == NEURON_CLASSES.index("positional")
    assert called[world.kind == KINDS.index("positional")].float().mean() >= 0.95
    for kind in KINDS:
        if kind != "positional":
            assert called[world.kind == KINDS.index(kind)].float().mean() <= 0.05, kind


def test_labels_of_other_documents_give_no_discoveries():
    """Of all families (layer × concept), a share of at most q has a discovery; 5 % of chance for one more is left."""
    world = World(WorldSize(documents=240), seed=3)
    families = discovered = 0
    for seed in range(4):
        pairs = torch.randperm(120, generator=torch.Generator().manual_seed(seed))
        order = (2 * pairs[:, None] + torch.arange(2)).flatten()  # whole clusters change places
        _, association = fit(world, order)
        by_layer = association.gate[:, : world.size.concepts].view(world.size.layers, -1, world.size.concepts).any(1)
        families, discovered = families + by_layer.numel(), discovered + int(by_layer.sum())
        assert association.gate[:, : world.size.concepts].float().mean() <= 0.05
    assert discovered <= binom.ppf(0.95, families, 0.05)


def test_permuting_neurons_permutes_the_association(planted):
    world, _, association = planted
    kept, random = world.activations, torch.Generator().manual_seed(9)
    order = [torch.randperm(h.shape[-1], generator=random) for h in kept]
    world.activations = [h[..., rows] for h, rows in zip(kept, order, strict=True)]
    try:
        _, other = fit(world)
    finally:
        world.activations = kept
    width = len(order[0])
    rows = torch.cat([order[0], width + order[1]])
    torch.testing.assert_close(other.matrix, association.matrix[rows], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other.t, association.t[rows], rtol=1e-3, atol=1e-3)


def test_gradient_steps_agree_with_the_closed_form(planted):
    world, learner, association = planted
    solved = learner.token.closed_form[: world.size.concepts].T.clone()
    start = learner.token.coefficients.data.clone()
    lm, label = world.backbone(), world.labeller()
    batches = [
        learner.batch_statistics(lm, learner.labelled(b, label), variance=False).token.sums for b in world.batches(100)
    ]
    learner.token.coefficients.data.zero_()  # not from the solution: it must be reached
    for step, rate in enumerate(torch.linspace(0.3, 0, 2000)):
        learner.token.step_loss(batches[step % len(batches)])
        learner.token.coefficients.data -= rate * learner.token.coefficients.grad
    gated = association.gate[:, : world.size.concepts]
    learned = learner.token.effect[gated]
    learner.token.coefficients.data.copy_(start)
    assert spearmanr(learned, solved[gated]).statistic >= 0.99


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("sample", [10**9, 200])  # the standardisation reads every text, or a few others
def test_nan_activations_are_refused(sample, value):
    world = World(WorldSize(documents=40), seed=5)
    world.activations[1][3, 7, 2] = value
    with pytest.raises(NonFiniteError, match=r"layers\.1\.mlp"):
        fit_closed_form(world.backbone(), world.labeller(), world.shape, world.batches, sample_tokens=sample)
