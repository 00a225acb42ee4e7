"""Two and three processes that share the calibration compute the masks of one."""

import hashlib
import json
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from tests.models import llama
from tests.ranks import run_ranks
from tests.unit.pruning.guidance.test_fisher import protected

from semprune.errors import CaptureError, MaskMismatchError, NonFiniteError
from semprune.pruning import dense_statistics, prune_from, prune_model, remove_neurons
from semprune.pruning.in_memory import prune_model as pruning
from semprune.pruning.statistics.block_statistics import BlockStatistics
from semprune.pruning.statistics.gathering import require_equal_masks
from semprune.pruning.statistics.squares import SquareSums
from semprune.pruning.weights.linear import PrunableLinear
from semprune.types import PrunableMatrix

VOCABULARY = 40


def model():
    return llama(initializer_range=0.02)


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
    "ria": {"sequences": 7, "batch_size": 2, "method": "ria"},
    "ria with a pattern": {"sequences": 7, "batch_size": 2, "method": "ria", "pattern": "2:4", "permutation": "snake"},
    "sparsegpt": {"sequences": 7, "batch_size": 2, "method": "sparsegpt"},
    "sparsegpt, ranks without a batch": {"sequences": 3, "batch_size": 4, "method": "sparsegpt"},
    "sparsegpt with a pattern": {"sequences": 5, "batch_size": 1, "method": "sparsegpt", "pattern": "2:4"},
    "sparsegpt reference": {"sequences": 5, "batch_size": 2, "method": "sparsegpt", "selection": "reference"},
    "guided": {"sequences": 5, "batch_size": 2, "protect": "toy"},
    "guided sparsegpt, owl": {
        "sequences": 5,
        "batch_size": 1,
        "method": "sparsegpt",
        "allocation": "owl",
        "protect": "toy",
    },
    "sparsegpt dense, padded": {
        "sequences": 5,
        "batch_size": 2,
        "method": "sparsegpt",
        "statistics": "dense",
        "padded": True,
    },
}


def pruned_hash(sequences, padded=False, **settings):
    mask = None
    if padded:
        mask = torch.ones(sequences, 10, dtype=torch.long)
        mask[1, 4:] = 0
    amount = {} if "pattern" in settings else {"sparsity": 0.5}
    settings = {"method": "wanda", "attention_mask": mask, **amount, **settings}
    pruned = model()
    with mock.patch.object(pruning, "protected_texts", lambda *asked: (protected(),) if asked[1].protect else ()):
        masks = prune_model(pruned, calibration(sequences), distributed=True, **settings).mask_hash
    weights = hashlib.sha256(b"".join(value.numpy().tobytes() for value in pruned.state_dict().values()))
    return [masks, weights.hexdigest()]


def kept_neurons(sequences):
    kept = remove_neurons(model(), calibration(sequences), sparsity=0.5, batch_size=2, distributed=True).kept
    return [each.tolist() for each in kept.values()]


def from_collected(sequences):
    pruned = model()
    statistics = dense_statistics(pruned, calibration(sequences), methods=["sparsegpt"], batch_size=2, distributed=True)
    given = {"method": "sparsegpt", "sparsity": 0.5, "allocation": "owl", "distributed": True}
    return prune_from(pruned, statistics, **given).mask_hash


def everything():
    found = {name: pruned_hash(**case) for name, case in CASES.items()}
    return {**found, "neurons": kept_neurons(5), "collected, owl": from_collected(5)}


def disagree(rank):
    """On the second rank, two matrices read different tensors; on the others, the same."""
    linears = [PrunableLinear(PrunableMatrix(name, 0, "up"), torch.nn.Linear(3, 2)) for name in ("first", "second")]
    gathered = BlockStatistics(linears, SquareSums)
    one = torch.ones(2, 4, 3)
    with gathered.gathering(outputs_dropped=False) as begin:
        begin((2, 4), None)
        for linear in linears:
            linear.module(one.clone() if rank == 1 else one)
    gathered.additive()


def work(rank, folder, ranks):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    found = everything()
    broken = model()
    broken.model.layers[1].input_layernorm.weight.data[:] = 3e38  # finite; its products are not
    for name, attempt in {
        "not finite": lambda: prune_model(
            broken, calibration(4), method="wanda", sparsity=0.5, batch_size=4, distributed=True
        ),
        "inputs shared differently": lambda: disagree(rank),
        "masks differ": lambda: require_equal_masks("0" * 63 + str(rank), torch.device("cpu")),
    }.items():
        try:
            attempt()
        except (NonFiniteError, MaskMismatchError, CaptureError) as error:
            found[name] = type(error).__name__
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def by_rank(request, tmp_path_factory):
    """What each of two or three gloo processes computed."""
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(work, request.param, folder, request.param)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(request.param)]


@pytest.fixture(scope="module")
def alone():
    """What one process computes."""
    return everything()


@pytest.mark.parametrize("case", [*CASES, "neurons", "collected, owl"])
def test_several_processes_compute_the_masks_and_weights_of_one(by_rank, alone, case):
    assert [found[case] for found in by_rank] == [alone[case]] * len(by_rank)


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        ("not finite", "NonFiniteError"),
        ("masks differ", "MaskMismatchError"),
        ("inputs shared differently", "CaptureError"),
    ],
)
def test_an_error_on_one_rank_is_raised_on_all(by_rank, attempt, error):
    assert [found[attempt] for found in by_rank] == [error] * len(by_rank)
