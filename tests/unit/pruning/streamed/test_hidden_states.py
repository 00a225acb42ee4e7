"""Hidden states in files, against a tensor."""

import pytest
import torch

from semprune.errors import CorruptArtefactError
from semprune.pruning.streamed.hidden_states import HiddenFile

SHAPE = (5, 3, 4)
BATCHES = (slice(0, 2), slice(2, 4), slice(4, 5))


def _file(folder, block=0, dtype=torch.bfloat16):
    folder.mkdir(exist_ok=True)
    return HiddenFile(folder, SHAPE, dtype, torch.device("cpu"), block)


def _write(hidden, states):
    for batch in BATCHES:
        hidden[batch] = states[batch]


def _read(hidden):
    return torch.cat([hidden[batch] for batch in BATCHES])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_written_is_read_after_the_turn_and_not_before(tmp_path, dtype):
    hidden = _file(tmp_path / "work", dtype=dtype)
    first, second = torch.randn(2, *SHAPE).to(dtype)
    _write(hidden, first)
    hidden.turn()
    for batch in BATCHES:  # as a block runs: each batch is read, then written
        assert torch.equal(hidden[batch], first[batch])
        hidden[batch] = second[batch]
        assert torch.equal(hidden[batch], first[batch])
    hidden.turn()
    assert torch.equal(_read(hidden), second)


def test_a_later_run_goes_on_from_the_files_of_a_killed_one(tmp_path):
    hidden = _file(tmp_path / "work")
    first, second = torch.randn(2, *SHAPE).bfloat16()
    _write(hidden, first)
    hidden.turn()
    _write(hidden, second)
    hidden.turn()
    hidden[slice(0, 2)] = first[:2]  # killed here
    again = _file(tmp_path / "work", block=1)
    assert torch.equal(_read(again), second)
    hidden.drop(0)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["hidden-00001.bin", "hidden-00002.part"]


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_inputs_that_are_gone_or_damaged_are_named(tmp_path, content):
    (tmp_path / "work").mkdir()
    if content is not None:
        (tmp_path / "work" / "hidden-00002.bin").write_bytes(content)
    with pytest.raises(CorruptArtefactError, match=r"hidden-00002\.bin .*120 bytes.*Delete"):
        _file(tmp_path / "work", block=2)
