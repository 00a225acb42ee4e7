"""Two processes that share the calibration give the experts of a mixture the masks of one process."""

import json

import pytest
import torch
import torch.distributed as dist
from tests.models import mixtral
from tests.ranks import run_ranks

from semprune.errors import UnroutedExpertError
from semprune.pruning import prune_model


def calibration(sequences, length=10):
    return torch.randint(3, 40, (sequences, length), generator=torch.Generator().manual_seed(1))


CASES = {
    "uneven": {"input_ids": calibration(5), "batch_size": 2},
    "one rank without a batch": {"input_ids": calibration(3), "batch_size": 4},
    "few tokens: not every rank has some for every expert": {"input_ids": calibration(8, 2), "batch_size": 4},
    "dense": {"input_ids": calibration(5), "batch_size": 1, "statistics": "dense"},
}


def pruned_hash(input_ids, **settings):
    return prune_model(mixtral(), input_ids, method="wanda", sparsity=0.5, distributed=True, **settings).mask_hash


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    found = {name: pruned_hash(**case) for name, case in CASES.items()}
    try:
        pruned_hash(calibration(2, 1), batch_size=1)
    except UnroutedExpertError as error:
        found["unrouted"] = str(error)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def by_rank(tmp_path_factory):
    """What each of two gloo processes computed."""
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(work, 2, folder)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_compute_the_masks_of_one(by_rank, case):
    alone = pruned_hash(**CASES[case])

    assert [found[case] for found in by_rank] == [alone, alone]


def test_an_expert_without_a_token_on_any_rank_is_an_error_on_both(by_rank):
    assert "no calibration token was routed to the experts of" in by_rank[0]["unrouted"]
    assert by_rank[0]["unrouted"] == by_rank[1]["unrouted"]


def test_the_few_tokens_do_leave_an_expert_to_one_rank():
    second = CASES["few tokens: not every rank has some for every expert"]["input_ids"][4:]
    with pytest.raises(UnroutedExpertError):
        prune_model(mixtral(), second, method="wanda", sparsity=0.5)
