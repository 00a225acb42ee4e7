"""Gates of a concept of words: where the planted Llama expects a target word, its concept's neurons are the gates."""

import pytest
import torch
from tests.planted.llama import NAMES, PlantedLlama
from tests.planted.world import ranking_precision
from tests.unit.attribution.gates.planted_task import (
    ANIMAL,
    COLOUR,
    FOOD,
    colour_task,
    dense_mean,
    other_texts,
    word_task,
)

from semprune.attribution.gates.collateral import dense_texts
from semprune.attribution.gates.learn import learn_gates
from semprune.attribution.gates.learner import GateLearner
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.task import Draw
from semprune.attribution.gates.words import EXPECTED, WordTask
from semprune.errors import TooFewWordsError

NAME = NAMES[COLOUR]


@pytest.fixture(scope="module")
def world():
    return PlantedLlama()


@pytest.fixture(scope="module")
def text(world):
    return world.ids(80, seed=11)


@pytest.fixture(scope="module")
def task(world):
    return word_task(world, COLOUR)


def test_the_neurons_that_let_a_word_be_expected_are_the_gates(world, task):
    settings = GateSettings(steps=6, items=24, windows=8, start_items=48)
    gates = learn_gates(world.lm, {NAME: task}, other_texts(world), dense_mean(world), k=5, settings=settings)
    assert ranking_precision(gates.scores, world.planted[:, [COLOUR]]) >= 0.99


@pytest.mark.parametrize("apart", [0.0, 1.0])
def test_gates_let_go_of_a_neuron_that_another_concept_needs(world, apart):
    """Of food, which has no part in telling colours from animals: with nothing to keep, it stays as it was."""
    tasks = {NAME: colour_task(world, prompts=2), NAMES[FOOD]: word_task(world, FOOD)}
    mean, foods = dense_mean(world), world.planted[:, FOOD]
    food = int(foods.nonzero()[0])
    start = torch.stack([world.planted[:, [COLOUR, ANIMAL]].any(1).float(), foods.float()])
    start[0, food] = 0.9
    settings = GateSettings(steps=10, items=16, windows=4, start_items=32, apart=apart)
    dense = dense_texts(world.lm, world.lm.sites, other_texts(world), mean, settings.windows)
    learner = GateLearner(world.lm, world.lm.sites, tasks, dense, mean, start, 11, settings)
    found = [learner.step() for _ in range(8)]
    assert (food in learner.theta[0].topk(11).indices) == (apart == 0)
    if apart:
        assert found[0][f"others/{NAME}"] > 0.5
        assert found[-1][f"others/{NAME}"] < 0.01
        assert found[0][f"others/{NAMES[FOOD]}"] == pytest.approx(0, abs=1e-3)


def test_places_are_expected_words_and_others_as_frequent(world, text, task):
    """Against a loop over the text: which words count, how far they are above their frequency, and how many others."""
    counts = torch.bincount(text.flatten(), minlength=len(world.lm.tokenizer))
    frequency = (counts / counts.sum()).double().log()
    own, number, others_number = torch.zeros(len(task.windows), dtype=torch.float64), 0, 0
    for row, ids in enumerate(task.windows):
        with torch.no_grad():
            logprobs = world.lm.model(ids[None]).logits[0].double().log_softmax(-1)
        for place in range(1, len(ids)):
            above = float(logprobs[place - 1, ids[place]] - frequency[ids[place]])
            if ids[place] == world.target[COLOUR] and above > EXPECTED:
                own[row], number = own[row] + above, number + 1
            elif above > EXPECTED:
                others_number += 1
    torch.testing.assert_close(task.dense[:, 0].double(), own, rtol=1e-4, atol=1e-4)
    others = task._places[task._column == 1]
    assert len(others) == min(number, others_number) == len({tuple(place) for place in others.tolist()})
    words = task.windows[others[:, 0], others[:, 1] + 1]
    assert (words != world.target[COLOUR]).all()
    assert torch.isin(words, world.target).all()  # as frequent as the target, and the only others that are expected


def test_what_is_left_counts_words_of_the_concept_and_spared_others(task):
    units = [0, 1, 2]
    dense = task.dense[units]
    for share_own, share_others, left in ((1, 1, 1), (0, 1, 0), (1, 0, 2), (0.5, 3, 0.5)):
        parts = dense * torch.tensor([share_own, share_others])
        draws = [Draw((0,), parts[:1]), Draw((1, 2), parts[1:])]
        assert float(task.left(draws)) == pytest.approx(left, abs=1e-6)
    assert float((task.weights(units) * dense).sum()) == pytest.approx(0, abs=1e-6)


def test_words_that_are_lost_or_gained_have_moved(task):
    units = [0, 1, 2]
    dense = task.dense[units]
    for share, moved in ((1, 0), (0.5, 0.25), (0, 1), (1.5, 0.25)):
        parts = dense * torch.tensor([share, 0.3])  # of other words nothing is asked
        assert float(task.moved(units, parts, dense)) == pytest.approx(moved, abs=1e-6)


def test_a_text_without_expected_words_is_refused(world, text):
    nothing, never = torch.zeros_like(text, dtype=torch.bool), text == world.lm_start
    few = (text == world.target[COLOUR]) & (torch.arange(len(text)) < 8)[:, None]
    for labels, found in ((nothing, 0), (never, 0), (few, int(few.sum()))):
        with pytest.raises(TooFewWordsError, match=rf"take 16 of its words .* 2560 tokens .* hold {found} and"):
            WordTask(world.lm, "planted.nothing", labels, text)
