"""Masks as bits, as a hash, as a file, on a model."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from semprune.errors import CorruptArtefactError, SettingError
from semprune.io.bits import hash_masks, pack_bits, unpack_bits
from semprune.pruning import StoredMasks, apply_masks, load_masks, save_masks
from semprune.pruning.masks.file import HEADER
from semprune.types import Fingerprint

FINGERPRINT = Fingerprint("LlamaForCausalLM", "r1", "ab" * 32)
MASKS = {"b": torch.tensor([[True, False, True], [False, False, True]]), "a": torch.arange(40).reshape(4, 10) % 3 == 0}
STORED = StoredMasks(MASKS, FINGERPRINT, "wanda", {"sparsity": 0.5, "selection": "exact"}, "cd" * 32)


@given(st.integers(1, 5), st.integers(1, 20), st.randoms(use_true_random=False))
def test_bits_round_trip(rows, columns, random):
    mask = torch.tensor([[random.random() < 0.5 for _ in range(columns)] for _ in range(rows)])

    assert torch.equal(unpack_bits(pack_bits(mask), (rows, columns)), mask)
    assert pack_bits(mask).numel() == (rows * columns + 7) // 8


def test_bits_follow_the_rows_also_of_a_transposed_view():
    mask = MASKS["b"].t()  # 101010 011 → rows 10, 00, 11

    assert pack_bits(mask).tolist() == [0b10001100]


def test_bits_of_another_size_are_refused():
    with pytest.raises(ValueError, match="2 bytes cannot hold"):
        unpack_bits(torch.zeros(2, dtype=torch.uint8), (2, 3))


def test_hash_depends_on_names_shapes_and_bits_but_not_on_the_order():
    flipped = {**MASKS, "b": ~MASKS["b"]}
    reshaped = {**MASKS, "b": MASKS["b"].reshape(3, 2)}
    renamed = {"c": MASKS["b"], "a": MASKS["a"]}

    hashes = [hash_masks(masks) for masks in (MASKS, flipped, reshaped, renamed)]
    assert len(set(hashes)) == 4
    assert hash_masks({"a": MASKS["a"], "b": MASKS["b"]}) == hashes[0]


def test_apply_zeroes_in_place_what_is_not_kept(llama):
    weight = llama.model.layers[0].mlp.up_proj.weight
    before, place = weight.clone(), weight.data_ptr()
    mask = torch.rand(weight.shape) < 0.5

    apply_masks(llama, {"model.layers.0.mlp.up_proj": mask})

    assert llama.model.layers[0].mlp.up_proj.weight.data_ptr() == place
    assert torch.equal(weight, torch.where(mask, before, 0.0))


@pytest.mark.parametrize(
    ("name", "match"),
    [("model.layers.9.mlp.up_proj", "modules of this model"), ("model.layers.0.mlp.up_proj", "weights' shapes")],
)
def test_masks_that_do_not_fit_change_nothing(llama, name, match):
    good = llama.model.layers[0].self_attn.q_proj.weight
    before = good.clone()
    masks = {"model.layers.0.self_attn.q_proj": torch.zeros(good.shape, dtype=torch.bool), name: MASKS["a"]}

    with pytest.raises(SettingError, match=match):
        apply_masks(llama, masks)

    assert torch.equal(good, before)


def test_file_round_trip_with_the_same_bytes_every_time(tmp_path):
    path = save_masks(tmp_path / "new" / "masks.safetensors", STORED)
    again = save_masks(tmp_path / "again.safetensors", StoredMasks(dict(reversed(MASKS.items())), *rest(STORED)))
    loaded = load_masks(path)

    assert hash_masks(loaded.masks) == hash_masks(MASKS)
    assert rest(loaded) == rest(STORED)
    assert path.read_bytes() == again.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["masks.safetensors"]


def rest(stored):
    return stored.fingerprint, stored.method, stored.settings, stored.calibration


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = save_masks(tmp_path / "masks.safetensors", STORED)
    before = path.read_bytes()
    unwritable = StoredMasks(MASKS, FINGERPRINT, "wanda", {"sparsity": object()})

    with pytest.raises(TypeError):
        save_masks(path, unwritable)

    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 0b10000000
    path.write_bytes(bytes(data))


def other(path):
    save_file({"x": torch.zeros(1)}, path)


def text(path):
    path.write_text("not a tensor file")


def headless(path):
    save_file({"x": torch.zeros(1)}, path, {HEADER: json.dumps({"shapes": {}})})


@pytest.mark.parametrize("damage", [cut, flip, other, text, headless, lambda path: path.unlink()])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = save_masks(tmp_path / "masks.safetensors", STORED)
    damage(path)

    with pytest.raises(CorruptArtefactError, match="Prune again"):
        load_masks(path)
