"""Tensor files written tensor by tensor, against the safetensors library."""

import errno

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file

from semprune.io.tensor_files import storage_order, stream_safetensors, tensor_bytes, write_safetensors

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
    write_safetensors(folder / "library", tensors, header)
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


def test_what_the_system_refuses_is_its_own_error(tmp_path, monkeypatch):
    def full(*arguments):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("semprune.io.tensor_files.save_file", full)
    with pytest.raises(OSError, match="No space left on device") as refused:
        write_safetensors(tmp_path / "a.safetensors", {"a": torch.zeros(1)}, {})
    assert (refused.value.errno, refused.value.filename) == (errno.ENOSPC, str(tmp_path / "a.safetensors"))
    assert list(tmp_path.iterdir()) == []
