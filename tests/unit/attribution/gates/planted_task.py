"""A task of the planted Llama whose carriers are known: does a text end with a colour or with an animal?"""

from __future__ import annotations

import torch
from tests.planted.llama import LENGTH, NAMES, OTHERS, TARGETS, WORDS, PlantedLlama
from torch import Tensor

from semprune.attribution.gates.tasks import ClassTask
from semprune.attribution.gates.words import WordTask
from semprune.backbones import capture
from semprune.types import Item

COLOUR, ANIMAL, FOOD = 0, 1, 3


def colour_items(count: int, seed: int = 0, prompts: int = 1) -> list[Item]:
    """Other words, then a colour or an animal; what follows is the one's target or the other's."""
    random = torch.Generator().manual_seed(seed)

    def pick(words: tuple[str, ...]) -> str:
        return words[int(torch.randint(len(words), (1,), generator=random))]

    exclusive = [tuple(w for w in WORDS[c] if sum(w in words for words in WORDS) == 1) for c in (COLOUR, ANIMAL)]
    items = []
    for number in range(count):
        label = number % 2
        words = [pick(OTHERS) for _ in range(4 + number % 3)] + [pick(exclusive[label])]
        context = "<s> " + " ".join(words)
        requests = tuple((context, f" {TARGETS[c]}") for c in (COLOUR, ANIMAL))
        items.append(Item("planted", str(number), str(number), requests, label, f"wording {number // 2 % prompts}"))
    return items


def colour_task(world: PlantedLlama, count: int = 64, seed: int = 0, prompts: int = 1) -> ClassTask:
    return ClassTask(world.lm, NAMES[COLOUR], colour_items(count, seed, prompts), 0)


def word_task(world: PlantedLlama, concept: int, windows: int = 80) -> WordTask:
    """To expect the target word of a concept."""
    text = world.ids(windows, seed=11)
    return WordTask(world.lm, NAMES[concept], text == world.target[concept], text)


def other_texts(world: PlantedLlama, windows: int = 16, seed: int = 3) -> list[Tensor]:
    """Two texts in which neither colours nor animals come."""
    ids = world.ids(400, seed)
    own = torch.tensor([world.lm.tokenizer.convert_tokens_to_ids(f"Ġ{w}") for c in (COLOUR, ANIMAL) for w in WORDS[c]])
    own = torch.cat([own, world.target[[COLOUR, ANIMAL]]])
    filler = world.lm.tokenizer.convert_tokens_to_ids(f"Ġ{OTHERS[0]}")
    free = torch.where(torch.isin(ids, own), torch.tensor(filler), ids)
    return [free[:windows, :LENGTH], free[windows : 2 * windows, : LENGTH // 2]]


def dense_mean(world: PlantedLlama) -> Tensor:
    """Mean of every neuron over the planted documents."""
    sums = {site.name: torch.zeros(site.width, dtype=torch.float64) for site in world.lm.sites}
    ids = world.ids(40, 5)
    with (
        torch.no_grad(),
        capture(world.lm.model, world.lm.sites, lambda s, h: sums[s.name].add_(h.double().sum((0, 1)))),
    ):
        world.lm.model(ids)
    return torch.cat([each / ids.numel() for each in sums.values()]).float()
