"""Two processes that share the calibration compute the masks of one."""

import json

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from transformers import LlamaConfig, LlamaForCausalLM

from semprune.errors import MaskMismatchError, NonFiniteError
from semprune.pruning import prune_model
from semprune.pruning.sharing import require_equal_masks

VOCABULARY = 40


def model():
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=32, **size)).eval()


def calibration(sequences):
    return torch.randint(0, VOCABULARY, (sequences, 10), generator=torch.Generator().manual_seed(1))


CASES = {
    "even": {"sequences": 8, "batch_size": 2},
    "uneven, last batch short": {"sequences": 5, "batch_size": 2},
    "one rank without a batch": {"sequences": 3, "batch_size": 4},
    "dense statistics": {"sequences": 5, "batch_size": 1, "statistics": "dense"},
    "reference": {"sequences": 5, "batch_size": 2, "selection": "reference"},
    "magnitude": {"sequences": 2, "batch_size": 2, "method": "magnitude"},
    "padded": {"sequences": 5, "batch_size": 2, "padded": True},
}


def pruned_hash(sequences, padded=False, **settings):
    mask = None
    if padded:
        mask = torch.ones(sequences, 10, dtype=torch.long)
        mask[1, 4:] = 0
    settings = {"method": "wanda", "sparsity": 0.5, "attention_mask": mask, **settings}
    return prune_model(model(), calibration(sequences), distributed=True, **settings).mask_hash


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    found = {name: pruned_hash(**case) for name, case in CASES.items()}
    broken = model()
    broken.model.layers[1].input_layernorm.weight.data[0] = float("nan")
    for name, attempt in {
        "not finite": lambda: prune_model(
            broken, calibration(4), method="wanda", sparsity=0.5, batch_size=4, distributed=True
        ),
        "masks differ": lambda: require_equal_masks("0" * 63 + str(rank), torch.device("cpu")),
    }.items():
        try:
            attempt()
        except (NonFiniteError, MaskMismatchError) as error:
            found[name] = type(error).__name__
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def by_rank(tmp_path_factory):
    """What each of two gloo processes computed."""
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(work, args=(folder,), nprocs=2)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_compute_the_masks_of_one(by_rank, case):
    alone = pruned_hash(**CASES[case])

    assert by_rank[0][case] == alone
    assert by_rank[1][case] == alone


def test_an_error_in_the_data_of_one_rank_is_raised_on_both(by_rank):
    assert [by_rank[rank]["not finite"] for rank in (0, 1)] == ["NonFiniteError"] * 2


def test_different_masks_are_an_error_on_both(by_rank):
    assert [by_rank[rank]["masks differ"] for rank in (0, 1)] == ["MaskMismatchError"] * 2
