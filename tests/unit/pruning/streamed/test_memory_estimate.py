"""The memory that is announced: counted by hand on a tiny model, and the limit."""

import pytest
import torch
from tests.unit.pruning.streamed.streamed_runs import plan_of, saved

from semprune.errors import MemoryLimitError
from semprune.pruning.guidance.protected_text import ProtectedText, ScoredBatch
from semprune.pruning.streamed.memory_estimate import SLACK, SWEPT_BYTES, WORKING_BYTES, MemoryEstimate, estimate_memory

EMBEDDINGS = 40 * 16
NORMS = 16
MATRICES = 16 * 16 + 2 * 16 * 8 + 16 * 16 + 3 * 16 * 24  # q, k and v, o, MLP
BLOCK = MATRICES + 2 * 16


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))


def _estimate(plan):
    calibrated = plan.tokens is not None
    return estimate_memory(plan.streamed, plan.method, calibrated=calibrated, batch_size=2, length=10, base_bytes=1000)


def test_magnitude_needs_one_block_its_masks_and_the_matrix_in_work(tmp_path):
    found = _estimate(plan_of(saved(tmp_path / "model"), "magnitude"))
    (step,) = found.steps.values()
    assert step == 4 * BLOCK + MATRICES + WORKING_BYTES * 16 * 24
    assert found.peak == 1000 + step + SLACK


def test_sparsegpt_sweeps_gate_and_up_together(tmp_path):
    found = _estimate(plan_of(saved(tmp_path / "model"), "sparsegpt"))
    together = SWEPT_BYTES * 2 * 16 * 24
    assert together > WORKING_BYTES * 16 * 24
    assert found.steps["the weights of one block and its masks"] == 4 * BLOCK + MATRICES + together


def test_another_dtype_counts_the_stored_tensors_too(tmp_path):
    stored = _estimate(plan_of(saved(tmp_path / "model"), "magnitude"))
    half = _estimate(plan_of(tmp_path / "model", "magnitude", dtype="bfloat16"))
    assert half.peak - stored.peak == 2 * BLOCK


def test_calibration_counts_embeddings_and_one_batch(tmp_path):
    found = _estimate(plan_of(saved(tmp_path / "model")))
    widths = (16 + 16) + 2 * (16 + 8) + (16 + 16) + 3 * (16 + 24)
    forward = 2 * 10 * (widths * 4 + 3 * 24 * 4)
    assert found.steps["the embeddings and one block"] == 4 * (EMBEDDINGS + NORMS) + 4 * BLOCK + forward


@pytest.mark.parametrize(("strength", "tokens"), [(1.0, 3 * 5), ("auto", 32 * 10)])
def test_what_is_kept_goes_through_a_block_together_and_so_does_what_strengths_are_tried_on(tmp_path, strength, tokens):
    plan = plan_of(saved(tmp_path / "model"))
    ids = torch.ones(3, 5, dtype=torch.long)
    text = ProtectedText("toy", strength, (ScoredBatch(ids, ids, (ids[:1, 0], ids[:1, 0]), torch.sum, ids[:1, 0], 1),))
    given = {"calibrated": True, "batch_size": 1, "base_bytes": 0, "protected": [text]}
    found = estimate_memory(plan.streamed, plan.method, length=10, **given)
    widths = (16 + 16) + 2 * (16 + 8) + (16 + 16) + 3 * (16 + 24)
    forward = tokens * (widths * 4 + 3 * 24 * 4)
    assert found.steps["the embeddings and one block"] == 4 * (EMBEDDINGS + NORMS) + 4 * BLOCK + forward


def test_a_limit_below_the_peak_is_refused_by_name():
    estimate = MemoryEstimate(int(1e9), {"the weights": int(2e9), "the rest": 5})
    estimate.require(None)
    estimate.require(estimate.peak)
    with pytest.raises(MemoryLimitError, match=r"about 3\.27 GB of memory, most of it for the weights; .* 3\.00 GB"):
        estimate.require(int(3e9))
