"""Checkpoints of a study's fit: half of one is never there by a kill, and refused by name where it is."""

import resource
import signal

import pytest
import torch

from semprune.errors import CorruptArtefactError
from semprune.study import PairedTrainer
from semprune.study.checkpoints import PARTIAL, AtomicCheckpointIO, interrupted_fit

STATE = {"state_dict": {"learner.x": torch.arange(2000.0)}, "epoch": 3}


@pytest.fixture
def partial(tmp_path):
    AtomicCheckpointIO().save_checkpoint(STATE, tmp_path / PARTIAL)
    return tmp_path / PARTIAL


def test_a_whole_one_is_taken_up_and_none_is_none(partial, tmp_path):
    assert interrupted_fit(partial.parent) == str(partial)
    assert torch.equal(torch.load(partial)["state_dict"]["learner.x"], STATE["state_dict"]["learner.x"])
    assert interrupted_fit(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("left", [0.0, 0.3, 0.99])
def test_one_that_was_cut_is_refused_with_what_to_do(partial, left):
    content = partial.read_bytes()
    partial.write_bytes(content[: int(left * len(content))])
    with pytest.raises(CorruptArtefactError, match=rf"Delete .*{PARTIAL} and run the same command again"):
        interrupted_fit(partial.parent)


def test_a_flipped_bit_in_a_tensor_is_found(partial):
    content = bytearray(partial.read_bytes())
    place = content.index(torch.tensor([1000.0, 1001.0, 1002.0]).numpy().tobytes())
    content[place] ^= 1
    partial.write_bytes(content)
    with pytest.raises(CorruptArtefactError, match="is not what was written"):
        interrupted_fit(partial.parent)


def test_one_that_cannot_be_written_to_its_end_leaves_the_one_of_before(partial, monkeypatch):
    def full(checkpoint, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    before = partial.read_bytes()
    monkeypatch.setattr("semprune.study.checkpoints.torch.save", full)
    with pytest.raises(OSError, match="No space"):
        AtomicCheckpointIO().save_checkpoint(STATE, partial)
    assert partial.read_bytes() == before
    assert [path.name for path in partial.parent.iterdir()] == [PARTIAL]


def test_a_full_disk_is_said_as_one(partial):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            AtomicCheckpointIO().save_checkpoint(STATE, partial)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def test_fit_writes_so_too(tmp_path):
    trainer = PairedTrainer(logger=False, enable_checkpointing=False, default_root_dir=tmp_path, accelerator="cpu")
    assert isinstance(trainer.strategy.checkpoint_io, AtomicCheckpointIO)
