"""Tensor files written tensor by tensor, against the safetensors library."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from semprune.io.tensor_files import read_sealed, storage_order, stream_safetensors, tensor_bytes, write_sealed

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool, torch.float64]


def _layout(tensors):
    return {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}


def _stream(path, tensors, header):
    layout = _layout(tensors)
    stream_safetensors(path, layout, ((name, tensors[name]) for name in storage_order(layout)), header)


@settings(max_examples=40, deadline=None)
@given(
    shapes=st.dictionaries(st.text(max_size=6), st.lists(st.integers(0, 4), max_size=3), max_size=5),
    dtype=st.sampled_from(DTYPES),
    header=st.dictionaries(st.just("format"), st.text(max_size=5)),
)
def test_the_bytes_are_those_of_the_library(tmp_path_factory, shapes, dtype, header):
    folder = tmp_path_factory.mktemp("files")
    tensors = {name: torch.randint(0, 2, shape).to(dtype) for name, shape in shapes.items() if name != "__metadata__"}
    save_file(tensors, folder / "library", header)
    _stream(folder / "ours", tensors, header)
    if header:  # the library writes an empty header's entry only where it is given
        assert (folder / "ours").read_bytes() == (folder / "library").read_bytes()
    again = load_file(folder / "ours")
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


def test_several_number_formats_are_read_back(tmp_path):
    tensors = {str(dtype): torch.randn(3, 5).to(dtype) for dtype in DTYPES}
    _stream(tmp_path / "file", tensors, {})
    again = load_file(tmp_path / "file")
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


def test_a_transposed_tensor_is_written_row_by_row():
    assert list(tensor_bytes(torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).t())) == [1, 3, 2, 4]


@pytest.mark.parametrize("wrong", [{"b": torch.zeros(2)}, {"a": torch.zeros(3)}, {"a": torch.zeros(2).half()}, {}])
def test_a_tensor_out_of_place_leaves_no_file(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"belongs|shorter"):
        stream_safetensors(tmp_path / "file", {"a": (torch.float32, (2,))}, iter(wrong.items()), {})
    assert list(tmp_path.iterdir()) == []


def test_a_sealed_file_is_read_back_and_any_flipped_bit_is_found(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([True, False]), "c": torch.tensor([7])}
    write_sealed(tmp_path / "x", tensors, {"concepts": ["p", "q"]})
    header, back = read_sealed(tmp_path / "x")
    assert header["concepts"] == ["p", "q"]
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    content, silent = (tmp_path / "x").read_bytes(), []
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        (tmp_path / "x").write_bytes(damaged)
        try:
            header, back = read_sealed(tmp_path / "x")
        except (OSError, ValueError, SafetensorError):
            continue
        silent.append(place)
        assert header["concepts"] == ["p", "q"]
        assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    assert len(silent) < 20  # the name of the hash (a file without one is an old one), and blanks after the header


def test_a_file_of_another_kind_is_refused(tmp_path):
    write_sealed(tmp_path / "x", {}, kind="one")
    with pytest.raises(ValueError, match="it holds no 'other'"):
        read_sealed(tmp_path / "x", kind="other")
