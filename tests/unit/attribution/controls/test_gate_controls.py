"""Controls of causal gates on a model whose carriers are planted, and the tables that they end in."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tests.planted.llama import OTHERS, TARGETS, WORDS, PlantedLlama
from tests.unit.attribution.gates.planted_task import other_texts

from semprune.attribution.controls.closed_gates import ClassReader, mean_activations
from semprune.attribution.controls.gate_control_tables import gate_control_table, gate_overlap
from semprune.attribution.controls.gate_controls import (
    LEARNED,
    PERMUTED,
    RANDOM,
    RANDOM_WEIGHTS,
    WRONG,
    Lesson,
    control_sets,
)
from semprune.attribution.controls.gate_items import Wording, asked_items, permuted_items
from semprune.attribution.gates.settings import GateSettings
from semprune.errors import SettingError
from semprune.report.tables.gate_controls import redundancy
from semprune.types import Item

COLOUR, ANIMAL, WEATHER, FOOD = range(4)
SETTINGS = GateSettings(steps=4, items=16, windows=4, start_items=32)


def items(pair, count, seed, answers=None, prompt="as fitted"):
    """Other words, then a word of one of two concepts; each answers with its own target, or with another word."""
    random, made = np.random.default_rng(seed), []
    for number in range(count):
        label = number % 2
        own = [word for word in WORDS[pair[label]] if sum(word in words for words in WORDS) == 1]
        context = "<s> " + " ".join([*random.choice(OTHERS, 4), random.choice(own)])
        requests = tuple((context, f" {TARGETS[answer]}") for answer in answers or pair)
        made.append(Item("planted", f"{prompt}{number}", f"{prompt}{number}", requests, label, prompt))
    return made


@pytest.fixture(scope="module")
def found():
    world = PlantedLlama()
    fitted, texts = items((COLOUR, ANIMAL), 64, 1), other_texts(world)
    lesson = Lesson(fitted, 0, items((WEATHER, FOOD), 64, 2), 0, texts)
    # "paint" against a word that nothing pushes here: the concept, asked in an answer that no gate was fitted on
    held_out = items((COLOUR, ANIMAL), 40, 3) + items((COLOUR, ANIMAL), 40, 4, (COLOUR, FOOD), "other")
    reader = ClassReader(world.lm, held_out, {"planted": 0}, world.ids(6, 8))
    sets = control_sets(world.lm, lesson, reader, k=10, seeds=[0, 1], settings=SETTINGS)
    return world, reader, sets, gate_control_table("planted.colour", sets, reader, fitted, held_out)


def test_gates_take_the_concept_in_words_they_were_not_fitted_on_and_controls_take_nothing(found):
    _, _, _, table = found
    lost = table.set_index(["control", "answers"])["lost"]
    assert table["dense"].min() > 0.95
    for answers in ("fitted", "other"):
        assert lost[LEARNED, answers] > 0.35
        for control in (WRONG, RANDOM_WEIGHTS, RANDOM):
            assert abs(lost[control, answers]) < 0.1
    by_control = table.groupby("control")["refused"].first()
    assert by_control[LEARNED] == by_control[WRONG] == 0
    assert by_control[PERMUTED] == 1
    assert (table["lost_low"] <= table["lost"]).all()


def test_gates_need_not_leave_a_wrong_concept_as_it_is(found):
    """Of one that shares its neurons, which gates that stay apart would have to let go."""
    world, reader, *_ = found
    wrong = [replace(item, dataset="elsewhere") for item in items((COLOUR, FOOD), 64, 2)]
    lesson = Lesson(items((COLOUR, ANIMAL), 64, 1), 0, wrong, 0, other_texts(world))
    sets = [
        control_sets(world.lm, lesson, reader, k=10, seeds=[0], settings=replace(SETTINGS, steps=10, apart=apart))
        for apart in (0, 10)
    ]
    one, other = ([each.rows.tolist() for each in drawn] for drawn in sets)
    assert one == other


def test_seeds_that_find_the_planted_neurons_agree(found):
    world, reader, sets, _ = found
    overlap = gate_overlap("planted.colour", sets, reader, len(world.planted))
    assert overlap[["shared", "chance"]].to_numpy().tolist() == [[1.0, 10 / len(world.planted)]]
    assert overlap["more"].tolist() == [0.0]
    assert "They are the same neurons" in redundancy(overlap)


def test_means_are_those_of_every_position_but_the_first(found):
    world, *_ = found
    texts = [torch.cat([world.ids(3, 5), world.ids(3, 6)])]
    with torch.no_grad():
        expected = torch.cat([
            layer.mlp.act_fn(layer.mlp.gate_proj(h)).mul(layer.mlp.up_proj(h))[:, 1:].mean((0, 1))
            for layer, h in zip(world.lm.model.model.layers, normed(world.lm.model, texts[0]), strict=True)
        ])  # fmt: skip
    torch.testing.assert_close(mean_activations(world.lm, texts), expected, rtol=1e-4, atol=1e-5)


def normed(model, ids):
    """What each MLP is given."""
    seen = []
    mlps = [layer.mlp for layer in model.model.layers]
    hooks = [mlp.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for mlp in mlps]
    model(ids)
    for hook in hooks:
        hook.remove()
    return seen


def pairs(*rows):
    table = pd.DataFrame(rows, columns=["shared", "chance", "more", "more_low", "more_high"])
    return table.assign(lost_first=0.2, lost_second=0.2)


def test_redundancy_is_said_in_words():
    equal = redundancy(pairs((0.3, 0.01, 0.01, -0.02, 0.04), (0.4, 0.01, 0.0, -0.03, 0.03)))
    assert "share 30\u00a0% to 40\u00a0%" in equal
    assert "carried redundantly" in equal
    assert "beyond 4.0 points" in equal
    assert "cannot be told from these items" in redundancy(pairs((0.4, 0.01, 0.03, -0.06, 0.13)))
    assert "hangs on the seed" in redundancy(pairs((0.3, 0.01, 0.05, 0.02, 0.08)))


def test_permuted_labels_are_the_same_in_all_wordings_of_a_text():
    every = [Item("own", str(n), str(n), (("", " a"), ("", " b")), n % 2, p) for p in "pq" for n in range(30)]
    permuted = permuted_items(every, 0)
    assert sorted(item.label for item in permuted) == sorted(item.label for item in every)
    assert [item.label for item in permuted[:30]] == [item.label for item in permuted[30:]]
    assert sum(a.label != b.label for a, b in zip(every, permuted, strict=True)) > 20


@pytest.mark.parametrize(
    ("wording", "said"),
    [
        (Wording("sad", "How does it feel?", {"negative": " sad", "positive": " happy"}), "with {text} in it"),
        (Wording("sad", "{text}\nFeels", {"bad": " sad", "good": " happy"}), "each class of movie_reviews"),
    ],
)
def test_a_wording_without_the_text_or_of_other_classes_is_refused(wording, said):
    with pytest.raises(SettingError, match=said):
        asked_items("movie_reviews", wording)


def test_items_of_one_class_alone_are_refused(found):
    world, *_ = found
    with pytest.raises(SettingError, match="items of the class and of others"):
        ClassReader(world.lm, items((COLOUR, ANIMAL), 12, 3)[::2], {"planted": 0}, world.ids(2, 8))
