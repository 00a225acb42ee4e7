"""Kernels and memory that are chosen for this machine change no digit."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from semprune.backbones import hardware
from semprune.backbones.hardware import fast_fp32, onednn_keeps_fp32

WITH_AVX512 = {"avx512_f": True, "avx512_bf16": True, "amx_tile": False}
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
FILL = """
import semprune, torch, re
kept = torch.ones(64 * 2**20)
print(sum(int(kb) for kb in re.findall(r"AnonHugePages: +([0-9]+)", open("/proc/self/smaps").read())) // 1024)
"""


@pytest.fixture(autouse=True)
def fresh():
    onednn_keeps_fp32.cache_clear()
    yield
    onednn_keeps_fp32.cache_clear()


def allowed():
    return torch.backends.mkldnn.matmul.fp32_precision


@pytest.mark.parametrize("shape", [(1, 64, 64), (7, 33, 65), (256, 576, 1536), (2048, 576, 192)])
def test_fast_products_keep_every_digit(shape):
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(rows, inner, generator=generator), torch.randn(inner, columns, generator=generator)
    with fast_fp32():
        found = one @ other
    exact = one.double() @ other.double()
    assert (found - exact).abs().max() < 1e-6 * inner


@pytest.mark.parametrize(
    "features",
    [
        WITH_AVX512 | {"amx_tile": True},  # its bf16 kernels round
        WITH_AVX512 | {"avx512_f": False},
        {},  # another architecture
    ],
)
def test_other_processors_keep_the_default_kernels(monkeypatch, features):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    before = allowed()
    with fast_fp32():
        assert allowed() == before
    assert not onednn_keeps_fp32()


def test_a_library_that_rounds_is_found_out(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: WITH_AVX512)
    honest = torch.full

    def rounded(size, value):
        return honest(size, value).bfloat16().float()

    monkeypatch.setattr(hardware.torch, "full", rounded)
    assert not onednn_keeps_fp32()


def test_the_users_setting_comes_back(monkeypatch):
    monkeypatch.setattr(hardware, "onednn_keeps_fp32", lambda: True)
    before, inside = allowed(), []

    @fast_fp32()
    def command():
        inside.append(allowed())
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        command()
    assert (inside, allowed()) == (["bf16"], before)


@pytest.mark.skipif(
    not HUGE_PAGES.is_file() or "[never]" in HUGE_PAGES.read_text(), reason="this kernel gives no huge pages"
)
@pytest.mark.parametrize("wanted", [True, False])
def test_tensors_lie_in_huge_pages_unless_told_otherwise(monkeypatch, wanted):
    if not wanted and "[always]" in HUGE_PAGES.read_text():
        pytest.skip("this kernel gives them to everybody")
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    if not wanted:
        monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    run = subprocess.run([sys.executable, "-c", FILL], capture_output=True, text=True, check=True, timeout=120)
    megabytes = int(run.stdout)
    assert megabytes >= 128 if wanted else megabytes < 128  # of 256; the kernel may have run out of them
