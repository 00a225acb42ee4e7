"""The run for a GPU: its medians, limits and tables; and all of it at a tiny size on the CPU."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from benchmarks.gpu.processes import Budget, limited
from benchmarks.gpu.record import Record, Row, figure, read_part, summary
from benchmarks.gpu.settings import LIMITS, MINUTES, SMALLEST
from benchmarks.gpu.timing import Spread, in_turn, seconds
from benchmarks.gpu.top_kernels import top_kernels

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def test_quartiles_are_those_between_the_repeats():
    assert Spread.of([10.0, 1.0, 4.0, 2.0]) == Spread(3.0, 1.75, 5.5, 4)


def test_ratios_are_of_pairs_of_one_turn():
    assert Spread.of_ratios([2.0, 30.0, 6.0], [1.0, 10.0, 3.0]) == Spread(2.0, 2.0, 2.5, 3)


def test_sides_take_turns_after_the_warm_up():
    called: list[str] = []
    found = in_turn({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, CPU, 2, warmups=1)
    assert called == ["a", "b"] * 3
    assert [len(own) for own in found.values()] == [2, 2]


def test_seconds_are_those_of_the_call():
    assert 0.02 <= seconds(lambda: time.sleep(0.02), CPU) < 1


def test_the_parts_limits_fit_into_the_whole():
    assert sum(LIMITS.values()) <= MINUTES * 60


def test_a_part_gets_what_is_left():
    now = iter([0.0, 30.0, 95.0, 120.0])
    budget = Budget(100, lambda: next(now))
    assert [budget.of(50), budget.of(50), budget.of(50)] == [50, 5.0, 0.0]


def test_a_part_without_time_does_not_begin():
    log = io.StringIO()
    assert limited(["-c", "raise SystemExit(1)"], 0, log) == "not begun: no time was left"
    assert log.getvalue() == ""


def test_a_part_is_stopped_at_its_limit_with_what_it_started(tmp_path):
    begins = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    with (tmp_path / "log.txt").open("w") as log:
        assert limited(["-c", begins], 1.0, log) == "stopped at its limit of 1 s"
    started = int((tmp_path / "log.txt").read_text().split()[-1])
    deadline = time.monotonic() + 20  # the signal is sent, its effect is the kernel's: a busy machine takes a moment
    while not is_gone(started):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(process: int) -> bool:
    """Whether it ended; it may be waiting for somebody to ask how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_part_that_fails_says_so(tmp_path):
    with (tmp_path / "log.txt").open("w") as log:
        assert limited(["-c", "raise SystemExit(3)"], 20, log).startswith("failed with status 3, after ")


def test_a_stopped_part_leaves_what_it_has(tmp_path):
    record = Record(tmp_path / "part.json")
    record.add(Row("one", Spread.of([1.0])))
    record.add_kernels("one", [{"name": "k", "calls": 2, "ms": 0.5}])
    assert [row["what"] for row in read_part(record.path)["rows"]] == ["one"]
    record.add(Row("two"))
    found = read_part(record.path)
    assert [row["what"] for row in found["rows"]] == ["one", "two"]
    assert found["kernels"]["one"][0]["calls"] == 2
    assert read_part(tmp_path / "none.json") == {"rows": [], "kernels": {}}


def test_the_table_tells_how_each_part_ended_and_what_it_measured(tmp_path):
    record = Record(tmp_path / "part.json")
    over = Spread(1.25, 1.2, 1.3, 7)
    record.add(Row("sums", Spread.of([0.5]), over, "bare forward", peak_share=0.5, memory_gib=2.0, note="so"))
    failed = {"part": "pruning", "ended": "stopped at its limit of 9 s", **read_part(tmp_path / "none.json")}
    text = summary("A card", [{"part": "fit", "ended": "whole", **read_part(record.path)}, failed])
    assert text.startswith("# A card\n")
    assert "| pruning | stopped at its limit of 9 s | 0 |" in text
    assert "| fit | sums | 0.5000 | 1.25 (1.20 to 1.30) | bare forward | 50% | 2.0 | so |" in text


def test_a_figure_without_repeats_has_no_quartiles():
    assert figure({"median": 2.0, "low": 2.0, "high": 2.0, "repeats": 1}, 1) == "2.0"


def test_a_profile_names_the_products():
    one = torch.ones(128, 128)
    found = {kernel["name"]: kernel for kernel in top_kernels(lambda: [one @ one for _ in range(3)], CPU)}
    assert found["aten::mm"]["calls"] == 3
    assert found["all"]["calls"] >= found["aten::mm"]["calls"]


@pytest.mark.slow
def test_the_dry_run_runs_every_part(tmp_path):
    environment = {**os.environ, "PYTHON": sys.executable, "OUT": str(tmp_path), "OMP_NUM_THREADS": "1"}
    script = [str(ROOT / "benchmarks/gpu/run.sh"), "--device", "cpu", "--tiny"]
    subprocess.run(script, env=environment, check=True, capture_output=True)
    found = json.loads((tmp_path / "results.json").read_text())
    ended = {part["part"]: part["ended"] for part in found["parts"]}
    assert list(ended) == list(LIMITS)
    assert all(how.startswith("whole") for how in ended.values()), (tmp_path / "log.txt").read_text()[-4000:]
    figures = {part["part"]: [row["what"] for row in part["rows"]] for part in found["parts"]}
    assert len(figures["fit"]) == 6
    assert figures["sparsegpt"][-1] == f"sparsegpt, {SMALLEST.large_blocks} blocks"
    assert {"fit", "gates", "pruning", "sparsegpt", "scoring", "perplexity"} <= {
        p["part"] for p in found["parts"] if p["kernels"]
    }
    assert (tmp_path / "summary.md").read_text().count("| kernel | calls | ms |") == 13
