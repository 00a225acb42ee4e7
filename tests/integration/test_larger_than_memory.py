"""A model larger than the memory that its process may take is pruned, killed twice, and ends with the same bytes."""

import sys

import pytest

from benchmarks import streaming

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA limits nothing elsewhere; un-skip on Linux"),
]


def test_a_model_larger_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # each thread reserves memory of its own
    found = streaming.run(weights_gb=1.5, limit_gb=1.1, place=str(tmp_path))
    assert found["size_gb"] > 1.4
    assert found["stopped"]  # the limit is one: pruning in memory runs into it
    assert 0 < found["first"] < found["second"]
    assert found["same"]
    assert found["peak_gb"] < found["announced_gb"] < found["size_gb"]
