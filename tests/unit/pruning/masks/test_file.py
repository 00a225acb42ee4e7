"""Files of masks read and written matrix by matrix, against those written at once."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from semprune.errors import CorruptArtefactError
from semprune.io.bits import hash_masks, pack_bits
from semprune.pruning import StoredMasks, load_masks, save_masks
from semprune.pruning.masks.file import HEADER, MaskFile, write_mask_file
from semprune.types import Fingerprint

FINGERPRINT = Fingerprint("LlamaForCausalLM", "local", "c" * 64)
MASKS = {
    f"layers.{layer}.{name}": torch.rand(shape, generator=torch.Generator().manual_seed(layer)) > 0.5
    for layer in (0, 2, 10)
    for name, shape in (("up", (5, 7)), ("down", (7, 5)))
}


@pytest.fixture
def stored():
    return StoredMasks(MASKS, FINGERPRINT, "wanda", {"sparsity": 0.5}, "d" * 64)


def test_the_bytes_are_those_of_masks_saved_at_once(tmp_path, stored):
    save_masks(tmp_path / "once", stored)
    header = {
        "fingerprint": {"architecture": "LlamaForCausalLM", "revision": "local", "weights_sha256": "c" * 64,
                        "configuration_sha256": ""},
        "method": "wanda", "settings": {"sparsity": 0.5}, "calibration": "d" * 64,
    }  # fmt: skip
    shapes = {name: tuple(mask.shape) for name, mask in reversed(MASKS.items())}
    write_mask_file(tmp_path / "parts", shapes, lambda name: pack_bits(MASKS[name]), header)
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "once").read_bytes()


def test_masks_are_read_one_by_one(tmp_path, stored):
    file = MaskFile(save_masks(tmp_path / "masks", stored))
    assert (file.fingerprint, file.header["method"]) == (FINGERPRINT, "wanda")
    assert file.shapes == {name: tuple(mask.shape) for name, mask in MASKS.items()}
    assert all(torch.equal(file.read(name), mask) for name, mask in MASKS.items())


@pytest.mark.parametrize("reader", [MaskFile, load_masks])
def test_damage_is_found(tmp_path, stored, reader):
    path = save_masks(tmp_path / "masks", stored)
    content = path.read_bytes()
    for damaged in (content[:-1], content[:-1] + bytes([content[-1] ^ 128]), b"", b"{}"):
        path.write_bytes(damaged)
        with pytest.raises(CorruptArtefactError, match="Prune again"):
            reader(path)
    with pytest.raises(CorruptArtefactError, match="Prune again"):
        reader(tmp_path / "absent")


def test_a_changed_header_is_found_and_one_of_before_there_were_hashes_is_taken(tmp_path, stored):
    ordered = replace(stored, orders={"layers.0.up": torch.tensor([0, 1, 2, 3, 4, 6, 5])})
    path = save_masks(tmp_path / "masks", ordered)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"4, 6, 5]", b"4, 5, 6]"))
    with pytest.raises(CorruptArtefactError, match="does not have the hash"):
        load_masks(path)
    with safe_open(save_masks(path, stored), framework="pt") as file:
        header = json.loads(file.metadata()[HEADER])
        bits = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # safe_open is no mapping
    del header["sha256"], header["fingerprint"]["configuration_sha256"]
    save_file(bits, path, {HEADER: json.dumps(header)})
    assert hash_masks(load_masks(path).masks) == hash_masks(MASKS)
    assert load_masks(path).fingerprint.fits(FINGERPRINT)
