"""Gates of a concept of words: where the planted Llama expects a target word, its concept's neurons are the gates."""

import pytest
import torch
from tests.planted.llama import NAMES, PlantedLlama
from tests.planted.world import ranking_precision
from tests.unit.attribution.gates.planted_task import COLOUR, dense_mean, other_texts

from semprune.attribution.gates.learn import learn_gates
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
def task(world, text):
    return WordTask(world.lm, NAME, text == world.target[COLOUR], text)


def test_the_neurons_that_let_a_word_be_expected_are_the_gates(world, task):
    settings = GateSettings(steps=6, items=24, windows=8, start_items=48)
    gates = learn_gates(world.lm, {NAME: task}, other_texts(world), dense_mean(world), k=5, settings=settings)
    assert ranking_precision(gates.scores, world.planted[:, [COLOUR]]) >= 0.99


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


def test_a_text_without_expected_words_is_refused(world, text):
    nothing, never = torch.zeros_like(text, dtype=torch.bool), text == world.lm_start
    few = (text == world.target[COLOUR]) & (torch.arange(len(text)) < 8)[:, None]
    for labels, found in ((nothing, 0), (never, 0), (few, int(few.sum()))):
        with pytest.raises(TooFewWordsError, match=rf"take 16 of its words .* 2560 tokens .* hold {found} and"):
            WordTask(world.lm, "planted.nothing", labels, text)
