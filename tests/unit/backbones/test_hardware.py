"""Kernels and memory that are chosen for this machine change no digit."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from semprune.backbones import hardware
from semprune.backbones.hardware import differentiable, fast_fp32, onednn_keeps_fp32

CPU = torch.device("cpu")
WITH_AVX512 = {"avx512_f": True, "avx512_bf16": True, "amx_tile": False}
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
ASKED_FOR = """
import semprune, torch, re
kept = torch.ones(64 * 2**20)
mappings = re.findall(r"^Size: +([0-9]+) kB.*?^VmFlags:([a-z ]*)", open("/proc/self/smaps").read(), re.M | re.S)
print(sum(int(kilobytes) for kilobytes, flags in mappings if "hg" in flags.split()) // 1024)
"""  # whether the kernel has any to give is not ours to test


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


@pytest.mark.skipif(not HUGE_PAGES.is_file(), reason="this system has no huge pages")
@pytest.mark.parametrize("wanted", [True, False])
def test_huge_pages_are_asked_for_unless_told_otherwise(monkeypatch, wanted):
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    if not wanted:
        monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    run = subprocess.run([sys.executable, "-c", ASKED_FOR], capture_output=True, text=True, check=True, timeout=120)
    assert (int(run.stdout) >= 256) == wanted


def _attended(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.scaled_dot_product_attention(query, key, value=value, is_causal=True)


def test_gradients_flow_inside_of_inference_mode():
    with torch.inference_mode(), differentiable(CPU):
        weight = torch.ones(2, requires_grad=True)
        (found,) = torch.autograd.grad((weight * 3).sum(), weight)
    assert found.tolist() == [3, 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_attention_that_is_differentiated_is_that_of_fp32_in_its_own_format(dtype):
    given = [torch.randn(2, 3, 7, 8, generator=torch.Generator().manual_seed(seed)).to(dtype) for seed in range(3)]
    with differentiable(CPU):
        query = given[0].clone().requires_grad_()
        found = _attended(query, *given[1:])
        (gradient,) = torch.autograd.grad(found.sum(), query)
    wide = given[0].float().requires_grad_()
    wanted = _attended(wide, *(each.float() for each in given[1:]))
    (slope,) = torch.autograd.grad(wanted.sum(), wide)
    assert found.dtype == gradient.dtype == dtype
    assert torch.equal(found, wanted.to(dtype))
    assert torch.equal(gradient, slope.to(dtype))
