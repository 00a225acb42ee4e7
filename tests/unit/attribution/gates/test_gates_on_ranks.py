"""Two processes learn the gates that one does."""

import torch
import torch.distributed as dist
from tests.planted.llama import PlantedLlama
from tests.ranks import run_ranks
from tests.unit.attribution.gates.planted_task import ANIMAL, colour_task, dense_mean, other_texts, word_task

from semprune.attribution.gates.learn import begin_gates, gates_of
from semprune.attribution.gates.settings import GateSettings


def learned():
    """After some steps with uneven shares, in float64: what then still differs is no rounding."""
    world = PlantedLlama()
    texts, mean = other_texts(world, windows=5), dense_mean(world)
    world.lm.model.double()
    tasks = {"colour": colour_task(world), "animal": word_task(world, ANIMAL)}
    settings = GateSettings(items=10, windows=6, start_items=20, token_budget=60)
    learner = begin_gates(world.lm, tasks, texts, mean, k=10, settings=settings, sites=world.lm.sites)
    found = [learner.step() for _ in range(3)]
    return {"scores": gates_of(learner).scores, "price": learner.price, "found": torch.tensor(list(found[-1].values()))}


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(learned(), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_learn_the_gates_of_one(tmp_path):
    alone = learned()
    run_ranks(work, 2, tmp_path)
    for rank in (0, 1):
        own = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, expected in alone.items():
            torch.testing.assert_close(own[name], expected, rtol=1e-4, atol=1e-5, msg=name)
