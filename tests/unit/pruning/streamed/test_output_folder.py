"""Whose an output folder is, and what is refused."""

import json
from pathlib import Path

import pytest

from semprune.errors import CorruptArtefactError, OutputOccupiedError, OutputWriteError, UnroutedExpertError
from semprune.pruning.streamed.output_folder import PROVENANCE, RUN, WORK, OutputFolder

SETTINGS = {"method": "wanda", "settings": {"sparsity": 0.5}, "shape": (1, 2)}


def _held(path, settings=SETTINGS):
    output = OutputFolder(path, settings)
    with output.held():
        pass
    return output


def test_looking_writes_nothing(tmp_path):
    OutputFolder(tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()


def test_finished_blocks_are_known_to_the_next_run(tmp_path):
    output = OutputFolder(tmp_path / "out", SETTINGS)
    with output.held():
        output.finish_block({"sparsity": {"a": 0.5}})
    assert OutputFolder(tmp_path / "out", SETTINGS).blocks == [{"sparsity": {"a": 0.5}}]


def test_a_closed_run_keeps_its_provenance_and_nothing_of_the_work(tmp_path):
    output = OutputFolder(tmp_path / "out", SETTINGS)
    with output.held():
        output.close({"wall_seconds": 1})
    again = OutputFolder(tmp_path / "out", SETTINGS)
    assert again.complete
    assert again.provenance()["wall_seconds"] == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == [PROVENANCE]


@pytest.mark.parametrize("other", [{"method": "ria"}, {"settings": {"sparsity": 0.6}}, {"more": 1}])
def test_an_unfinished_run_with_other_settings_is_left_alone(tmp_path, other):
    _held(tmp_path / "out")
    before = (tmp_path / "out" / WORK / RUN).read_bytes()
    key = next(iter(other))
    with pytest.raises(OutputOccupiedError, match=f"an unfinished run with other settings \\({key}: there "):
        OutputFolder(tmp_path / "out", {**SETTINGS, **other})
    assert (tmp_path / "out" / WORK / RUN).read_bytes() == before


@pytest.mark.parametrize("name", ["thesis.txt", "config.json", "model.safetensors"])
def test_other_files_are_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputOccupiedError, match=r"is not empty.*Nothing was changed"):
        OutputFolder(tmp_path, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_study_is_left_alone(tmp_path):
    (tmp_path / PROVENANCE).write_text(json.dumps({"settings": {}}))
    with pytest.raises(OutputOccupiedError, match="of something else than semprune prune"):
        OutputFolder(tmp_path, SETTINGS)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputOccupiedError, match="is a file"):
        OutputFolder(tmp_path / "out", SETTINGS)


def test_a_damaged_record_says_what_to_do(tmp_path):
    _held(tmp_path / "out")
    (tmp_path / "out" / WORK / RUN).write_text("{")
    with pytest.raises(CorruptArtefactError, match="Delete the folder"):
        OutputFolder(tmp_path / "out", SETTINGS)


def test_two_processes_at_once_are_refused(tmp_path):
    first, second = OutputFolder(tmp_path / "out", SETTINGS), OutputFolder(tmp_path / "out", SETTINGS)
    with first.held(), pytest.raises(OutputOccupiedError, match="another process"), second.held():
        pass


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a place where nobody can write; un-skip on Linux")
def test_a_place_where_nothing_can_be_written():
    with pytest.raises(OutputWriteError, match=r"could not write /sys/kernel/out: .*nothing was done yet"):
        _held(Path("/sys/kernel/out"))


def test_half_written_files_of_a_killed_process_are_removed(tmp_path):
    _held(tmp_path / "out")
    (tmp_path / "out" / ".model.safetensors.77.tmp").write_text("half")
    (tmp_path / "out" / WORK / ".masks.77.tmp").write_text("half")
    _held(tmp_path / "out")
    assert not list((tmp_path / "out").rglob(".*.tmp"))


def test_what_an_error_ends_before_the_first_block_leaves_the_folder_free(tmp_path):
    first = OutputFolder(tmp_path / "out", {"calibration": "short"})
    with pytest.raises(UnroutedExpertError), first.held():
        raise UnroutedExpertError(["experts.3"])
    OutputFolder(tmp_path / "out", {"calibration": "long"})  # other settings are not refused

    begun = OutputFolder(tmp_path / "out", {"calibration": "long"})
    with begun.held():
        begun.finish_block({"sparsity": {}})
    with pytest.raises(UnroutedExpertError), begun.held():
        raise UnroutedExpertError(["experts.3"])
    assert OutputFolder(tmp_path / "out", {"calibration": "long"}).blocks == [{"sparsity": {}}]


def test_a_run_may_take_on_that_it_keeps_unrouted_experts_and_may_not_take_it_back(tmp_path):
    with (output := OutputFolder(tmp_path / "out", {"method": "wanda"})).held():
        output.finish_block({"sparsity": {}})
    with (keeping := OutputFolder(tmp_path / "out", {"method": "wanda", "unrouted": "keep"})).held():
        keeping.finish_block({"sparsity": {}})

    assert len(OutputFolder(tmp_path / "out", {"method": "wanda", "unrouted": "keep"}).blocks) == 2
    with pytest.raises(OutputOccupiedError, match="unrouted: there 'keep', here None"):
        OutputFolder(tmp_path / "out", {"method": "wanda"})
