"""Gates on a Llama whose carriers are planted; gradients against finite differences; errors of bad input."""

import dataclasses

import numpy as np
import pytest
import torch
from tests.planted.llama import NAMES, WIDTH, PlantedLlama
from tests.planted.world import ranking_precision
from tests.unit.attribution.gates.planted_task import (
    FOOD,
    colour_items,
    colour_task,
    dense_mean,
    other_texts,
    word_task,
)

from semprune.attribution.controls.gate_controls import UnaskedTask
from semprune.attribution.controls.gate_items import permuted_items
from semprune.attribution.gates import collateral
from semprune.attribution.gates.collateral import alone, dense_texts, dominant
from semprune.attribution.gates.first_order import first_order_effect, first_order_over_collateral, start_scores
from semprune.attribution.gates.gating import gated
from semprune.attribution.gates.learn import DEAR, LEAD, begin_gates, gates_of, learn_gates
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.task import Draw
from semprune.attribution.gates.tasks import ClassTask, order_kept
from semprune.attribution.gradients.rankings import LabelledItems
from semprune.attribution.rankings import first_order_over_collateral as ranking
from semprune.backbones import capture
from semprune.errors import (
    ConfigurationError,
    CorruptArtefactError,
    NonFiniteError,
    SettingError,
    TooFewItemsError,
    UnknownToTheModelError,
)

STEP = 1e-2  # of finite differences: normalisation rounds to fp32 inside of the model
SETTINGS = GateSettings(steps=10, items=16, windows=4, start_items=32)


class Setting:
    """The planted model with everything that gates are learned from."""

    def __init__(self):
        self.world = PlantedLlama()
        self.lm, self.sites = self.world.lm, self.world.lm.sites
        self.task, self.texts = colour_task(self.world, prompts=2), other_texts(self.world)
        self.mean = dense_mean(self.world)
        self.carriers = self.world.planted[:, :2].any(1)

    def learn(self, settings=SETTINGS, k=10, **changes):
        given = {"tasks": {"planted.colour": self.task}, "texts": self.texts, "mean": self.mean} | changes
        return learn_gates(self.lm, **given, k=k, settings=settings)


@pytest.fixture(scope="module")
def planted():
    return Setting()


def test_the_planted_neurons_are_the_gates(planted):
    gates = planted.learn()
    assert gates.scores.dtype == torch.float32
    assert gates.scores.min() == 0
    assert ranking_precision(gates.scores, planted.carriers[:, None]) >= 0.99
    every = gates.of(("planted.food", "planted.colour"))
    assert every.scores[:, 0].isnan().all()
    assert torch.equal(every.scores[:, 1], gates.scores[:, 0])


def test_first_order_over_collateral_ranks_the_planted_neurons_first(planted):
    association = dataclasses.make_dataclass("Sites", ["sites", "mean", "require"])(
        planted.sites, planted.mean, lambda _: None
    )
    items = LabelledItems(planted.lm, association, colour_items(32), planted.texts)
    found = ranking.rank(items)
    assert found.shape == (2 * WIDTH,)
    assert ranking_precision(found[:, None], planted.carriers[:, None]) == 1
    with pytest.raises(ConfigurationError, match="the same choices"):
        ranking.rank(LabelledItems(planted.lm, association, [], planted.texts))


def test_the_first_order_is_the_slope_of_the_order_at_open_gates(planted):
    """In float64: how the mean of y·s moves as a single gate closes a little, and how much items differ in it."""
    world = PlantedLlama()
    world.lm.model.double()
    indices = list(range(24))
    found = first_order_effect(world.lm, planted.sites, planted.task, indices, planted.mean, token_budget=40)
    labels, wording = planted.task.labels[indices].double(), torch.tensor(planted.task.wording_of(indices))
    y = torch.zeros(24, dtype=torch.float64)
    for each in (0, 1):
        own = labels[wording == each]
        y[wording == each] = (own - own.mean()) / own.std(correction=0)
    batch = planted.task.batch(indices)
    for neuron in (1, 5, WIDTH + 2, WIDTH + 3):
        values = []
        for by in (STEP, -STEP):
            gates = torch.zeros(1, 2 * WIDTH)
            gates[0, neuron] = by
            with gated(world.lm, planted.sites, gates, planted.mean, torch.zeros(24, dtype=torch.long)):
                values.append((planted.task.log_odds(world.lm, batch) * y).detach())
        slopes = (values[1] - values[0]) / (2 * STEP)
        assert float(found.effect[neuron]) == pytest.approx(float(slopes.mean()), rel=1e-3)
        assert float(found.error[neuron]) == pytest.approx(float(slopes.std()) / 24**0.5, rel=1e-3)


def test_labels_that_say_nothing_start_no_gate_at_a_neuron_of_the_answer(planted):
    own = permuted_items(colour_items(64, prompts=2), 1)
    task = UnaskedTask(planted.lm, "permuted", own, 0)
    given = ({"permuted": task}, planted.texts, planted.mean)

    def first(sure):
        settings = dataclasses.replace(SETTINGS, start_items=64, sure=sure)
        begun = begin_gates(planted.lm, *given, k=10, settings=settings, sites=planted.sites)
        assert begun.theta.isfinite().all()
        return begun.theta[0].topk(10).indices

    assert planted.carriers[first(0.0)].any()
    assert not planted.carriers[first(2.0)].any()
    assert not planted.carriers[first(1e6)].any()  # nothing at all is sure


def test_the_fisher_is_the_mean_square_of_each_windows_own_slope(planted):
    world = PlantedLlama()
    world.lm.model.double()
    texts = [text[:3] for text in planted.texts]
    fisher = dense_texts(world.lm, planted.sites, texts, planted.mean, windows=2).fisher
    for neuron in (6, 9, WIDTH + 5):
        expected = 0.0
        for text in texts:
            for ids in text:
                values = []
                for by in (STEP, -STEP):
                    gates = torch.zeros(1, 2 * WIDTH)
                    gates[0, neuron] = by
                    with gated(world.lm, planted.sites, gates, planted.mean, torch.zeros(1, dtype=torch.long)):
                        logits = world.lm.model(ids[None]).logits[0, :-1].detach()
                    values.append(float(torch.nn.functional.cross_entropy(logits, ids[1:])))
                slope = (values[0] - values[1]) / (2 * STEP)
                expected += slope**2 / len(text) / len(texts)
        assert float(fisher[neuron]) == pytest.approx(expected, rel=1e-3)


def test_what_one_neuron_costs_is_divergence_where_it_alone_is_closed(planted):
    texts, chosen = [text[:, :6] for text in planted.texts], torch.tensor([6, 9, WIDTH + 5])
    dense = dense_texts(planted.lm, planted.sites, texts, planted.mean)
    found = alone(planted.lm, planted.sites, dense, planted.mean, chosen, token_budget=16)
    for neuron, value in zip(chosen.tolist(), found.tolist(), strict=True):
        gates, expected = torch.zeros(1, 2 * WIDTH), []
        gates[0, neuron] = 1
        for ids in (text[:1] for text in texts):
            before = planted.lm.model(ids).logits[0, :-1].log_softmax(-1)
            with gated(planted.lm, planted.sites, gates, planted.mean, torch.zeros(1, dtype=torch.long)):
                after = planted.lm.model(ids).logits[0, :-1].log_softmax(-1)
            expected += (before.exp() * (before - after)).sum(-1).tolist()
        assert value == pytest.approx(np.mean(expected), rel=1e-3, abs=1e-6)


def test_a_neuron_that_fills_its_site_at_a_first_token_is_tried_however_late_it_comes(monkeypatch):
    world, chosen = PlantedLlama(), WIDTH + 50  # one of layer 1 that reads the mixture
    lm, texts, mean = world.lm, other_texts(world), dense_mean(world)
    dense = dense_texts(lm, lm.sites, texts, mean)
    assert chosen not in dominant(lm, lm.sites, dense, mean)
    with torch.no_grad():
        lm.model.model.layers[1].mlp.up_proj.weight[50] *= 1000
    found, shares = dominant(lm, lm.sites, dense, mean), torch.zeros(2 * WIDTH)
    for text in texts:
        kept = {}
        with torch.no_grad(), capture(lm.model, lm.sites, lambda site, h, kept=kept: kept.update({site.layer: h[0]})):
            lm.model(text[:1, : collateral.FIRST_TOKENS])
        for layer, row in ((layer, row) for layer, rows in kept.items() for row in rows):
            away = row - mean[layer * WIDTH : (layer + 1) * WIDTH]
            for neuron in range(WIDTH):
                share = float(away[neuron].abs() / away.square().sum().sqrt())
                shares[layer * WIDTH + neuron] = max(float(shares[layer * WIDTH + neuron]), share)
    assert found.tolist() == (shares >= collateral.DOMINANT).nonzero()[:, 0].tolist()
    assert chosen in found
    tried = []

    def costs(*args):
        tried.extend(args[4].tolist())
        return torch.zeros(len(args[4]))

    monkeypatch.setattr("semprune.attribution.gates.learn.alone", costs)
    monkeypatch.setattr("semprune.attribution.gates.learn.FIRST", 1)
    tasks = {"planted.colour": colour_task(world)}
    begin_gates(lm, tasks, texts, mean, k=5, settings=SETTINGS, sites=lm.sites)
    assert tried[0] != chosen
    assert tried[1:] == found.tolist()


@pytest.mark.parametrize("rounding", [0.0, 3.0])
def test_gates_do_not_start_with_a_neuron_that_costs_much_alone(planted, monkeypatch, rounding):
    start = {"k": 5, "settings": SETTINGS, "sites": planted.sites}
    given = ({"planted.colour": planted.task}, planted.texts, planted.mean)
    first = begin_gates(planted.lm, *given, **start).theta[0].argmax()
    second = begin_gates(planted.lm, *given, **start).theta[0].topk(2).indices[1]

    def costs(*args):
        own = torch.where(args[4] == first, 1.01, 0.0) + torch.where(args[4] == second, 0.99, 0.0) + rounding
        return own * DEAR * SETTINGS.budget

    monkeypatch.setattr("semprune.attribution.gates.learn.alone", costs)
    without = begin_gates(planted.lm, *given, **start).theta[0]
    assert without[first] == without.min()
    assert without[second] > 0


def test_no_neuron_starts_where_steps_would_not_reach_it(planted):
    """First-order effects have a long tail: its neurons would stay, whatever they cost."""
    tasks, k, settings = {"planted.colour": planted.task}, 5, dataclasses.replace(SETTINGS, sure=0)
    begun = begin_gates(planted.lm, tasks, planted.texts, planted.mean, k=k, settings=settings, sites=planted.sites)
    theta = begun.theta[0].detach().sort(descending=True).values
    assert float(theta[0] - theta[k - 1]) == pytest.approx(LEAD)
    assert theta[k - 1] > theta[k]


@pytest.mark.parametrize("fisher", [[0.0, 0.0, 0.0], [0.0, 0.0, 1e-12], [0.0, 0.0, 4.0], [1e-30, 1e-30, 1e-30]])
def test_neurons_that_nothing_hangs_on_are_not_divided_by_nothing(fisher):
    effect = torch.tensor([1.0, 1.0, -1.0])
    found = first_order_over_collateral(effect, torch.tensor(fisher))
    assert found.isfinite().all()
    assert found[2] == 0
    assert start_scores(effect, torch.tensor(fisher)).isfinite().all()


def test_a_learner_that_goes_on_ends_with_the_same_bytes(planted):
    def begun():
        tasks = {"planted.colour": planted.task}
        return begin_gates(planted.lm, tasks, planted.texts, planted.mean, k=10, settings=SETTINGS, sites=planted.sites)

    whole, part, other = begun(), begun(), begun()
    for _ in range(4):
        whole.step()
    for _ in range(2):
        part.step()
    other.load(part.state())
    seen = [other.step() for _ in range(2)]
    assert torch.equal(gates_of(other).scores, gates_of(whole).scores)
    assert torch.equal(other.price, whole.price)
    assert set(seen[0]) == {f"{name}/planted.colour" for name in ("task", "collateral", "price")}
    with pytest.raises(CorruptArtefactError, match=r"gates are of planted\.food"):
        other.load(part.state() | {"concepts": ["planted.food"]})


@pytest.mark.parametrize(("smaller", "most_logits"), [(40, collateral.MOST_LOGITS), (4096, 1)])
def test_items_and_windows_that_are_read_a_few_at_a_time_teach_the_same(planted, monkeypatch, smaller, most_logits):
    """In float64: items beyond the token budget are read twice; windows whose logits are too many, one by one."""
    world, found = PlantedLlama(), []
    world.lm.model.double()
    tasks = {"planted.colour": planted.task, "planted.food": word_task(world, FOOD)}
    for budget, most in ((4096, collateral.MOST_LOGITS), (smaller, most_logits)):
        monkeypatch.setattr(collateral, "MOST_LOGITS", most)
        settings = dataclasses.replace(SETTINGS, token_budget=budget, start_items=16)
        learner = begin_gates(
            world.lm, tasks, planted.texts, planted.mean, k=10, settings=settings, sites=planted.sites
        )
        steps = [learner.step() for _ in range(2)]
        found.append((steps, gates_of(learner).scores))
    assert {"task/planted.colour", "others/planted.colour", "others/planted.food"} < set(found[0][0][1])
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-5, atol=1e-6)


def test_all_batches_of_items_but_the_largest_are_read_twice(planted, monkeypatch):
    settings, reads = dataclasses.replace(SETTINGS, token_budget=40, start_items=16), []
    given = (planted.lm, {"planted.colour": planted.task}, planted.texts, planted.mean)
    learner = begin_gates(*given, k=10, settings=settings, sites=planted.sites)
    read = planted.task.read
    monkeypatch.setattr(planted.task, "read", lambda lm, units: reads.append(tuple(units)) or read(lm, units))
    learner.step()

    def padded(units):
        rows, lengths = planted.task.sizes(units)
        return sum(rows) * max(lengths)

    *twice, once = sorted(set(reads), key=reads.count, reverse=True)
    assert len(twice) >= 2
    assert {reads.count(units) for units in twice} == {2}
    assert reads.count(once) == 1
    assert padded(once) == max(map(padded, reads))


def test_concepts_that_learn_together_learn_what_they_learn_alone(planted):
    """Tasks of one source, which need not stay beside each other."""
    other = ClassTask(planted.lm, NAMES[1], colour_items(48, seed=9), 1)
    together = planted.learn(tasks={"one": planted.task, "two": other}, settings=dataclasses.replace(SETTINGS, steps=2))
    alone = planted.learn(settings=dataclasses.replace(SETTINGS, steps=2))
    torch.testing.assert_close(together.scores[:, :1], alone.scores, rtol=1e-3, atol=1e-3)


def test_the_price_of_collateral_follows_its_budget(planted):
    """Gates that must close anywhere cost something: over budget the price rises, under it it falls to 0."""
    prices = {}
    for budget in (1e-9, 1e3):
        settings = dataclasses.replace(SETTINGS, budget=budget, dual_rate=0.5)
        tasks = {"planted.colour": planted.task}
        learner = begin_gates(
            planted.lm, tasks, planted.texts, planted.mean, k=100, settings=settings, sites=planted.sites
        )
        for _ in range(4):
            learner.step()
        prices[budget] = float(learner.price)
    assert prices[1e-9] > 1
    assert prices[1e3] == 0


@pytest.mark.parametrize("k", [0, 2 * WIDTH, 2 * WIDTH + 5])
def test_no_gate_or_all_gates_are_refused(planted, k):
    with pytest.raises(SettingError, match="k must be at least 1 and below the number of neurons, 160"):
        planted.learn(k=k)


def test_settings_and_texts_out_of_range_are_refused(planted):
    with pytest.raises(SettingError, match=r"gates\.budget must be above 0"):
        planted.learn(dataclasses.replace(SETTINGS, budget=0.0))
    for texts in ([], [torch.zeros(3, 1, dtype=torch.long)]):
        with pytest.raises(SettingError, match="texts must be one or more"):
            planted.learn(texts=texts)


def test_a_concept_that_the_dense_model_does_not_have_is_refused(planted):
    items = colour_items(64)
    mixed = [dataclasses.replace(item, label=number // 2 % 2) for number, item in enumerate(items)]
    with pytest.raises(UnknownToTheModelError, match=r"does not know 'mixed'.*not above 0\.5"):
        planted.learn(tasks={"mixed": ClassTask(planted.lm, "mixed", mixed, 0)})


def test_too_few_items_of_a_class_are_refused(planted):
    items = colour_items(40)
    few = [item for item in items if item.label == 1] + items[:6:2]
    with pytest.raises(TooFewItemsError, match="there are 3 and 20"):
        ClassTask(planted.lm, "few", few, 0)
    with pytest.raises(TooFewItemsError, match="there are 0 and 0"):
        ClassTask(planted.lm, "none", [], 0)


def test_a_model_that_is_not_finite_is_refused():
    broken = Setting()
    broken.lm.model.lm_head.weight.data[:] = float("nan")
    with pytest.raises(NonFiniteError, match="log-likelihood of a text"):
        broken.learn()
    with pytest.raises(NonFiniteError, match="log-probabilities of"):
        first_order_effect(broken.lm, broken.sites, broken.task, broken.task.start(32, 0), broken.mean)


def test_one_answer_to_all_items_gives_no_direction():
    odds = torch.full((4,), 1.7, requires_grad=True)
    left = order_kept(odds, torch.tensor([True, False, True, False]), torch.zeros(4, dtype=torch.long))
    left.backward()
    assert float(left.detach()) == 0
    assert odds.grad is not None
    assert odds.grad.tolist() == [0.0] * 4


def test_a_draw_below_chance_still_teaches_where_recent_ones_keep_the_order(planted):
    """Against numpy's correlation, within draws and wordings; of the reversed draw alone nothing is left."""
    task = planted.task
    units = [task.draw(step, 10, [step]) for step in range(3)]
    assert all(len(set(task.wording_of(each))) == 2 for each in units)  # every step sees every wording
    random = torch.Generator().manual_seed(0)
    odds = [4 * step + (2.0 * task.labels[each] + torch.randn(10, generator=random)) for step, each in enumerate(units)]
    odds[2] = (-odds[2]).requires_grad_()
    draws = [Draw(tuple(each), parts[:, None]) for each, parts in zip(units, odds, strict=True)]
    expected = []
    for wording in (0, 1):
        s, y = [], []
        for each, parts in zip(units, odds, strict=True):
            own = torch.tensor(task.wording_of(each)) == wording
            s.append((parts[own] - parts[own].mean()).detach().numpy())
            y.append((task.labels[each][own].double() - task.labels[each][own].double().mean()).numpy())
        expected.append(np.corrcoef(np.concatenate(s), np.concatenate(y))[0, 1])
    left = task.left(draws)
    assert min(expected) > 0.1
    assert float(left.detach()) == pytest.approx(np.mean(expected), abs=1e-6)
    (slope,) = torch.autograd.grad(left, odds[2])
    inside = task.labels[units[2]]
    assert slope[inside].mean() > 0 > slope[~inside].mean()
    assert float(task.left(draws[2:]).detach()) == 0


def test_a_forward_takes_fewer_windows_where_there_are_many_words(planted, monkeypatch):
    words = planted.lm.model.get_output_embeddings().weight.shape[0]
    assert collateral.rows_at_once(planted.lm, tokens=4, positions=3, token_budget=40) == 10
    monkeypatch.setattr(collateral, "MOST_LOGITS", 3 * words * 2)
    assert collateral.rows_at_once(planted.lm, tokens=4, positions=3, token_budget=40) == 2
    assert collateral.rows_at_once(planted.lm, tokens=4, positions=30, token_budget=1) == 1
