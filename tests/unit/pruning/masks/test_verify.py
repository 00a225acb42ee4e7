"""What should be zero and is not, counted matrix by matrix: of written folders, and of quantised ones."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.backbones import tiny

from semprune.cli.__main__ import main
from semprune.errors import BackboneLoadError, CorruptArtefactError, SettingError
from semprune.pruning import StoredMasks, prune_model, save_masks
from semprune.pruning.masks.verify import VerifiedMatrix, verify_masks
from semprune.types import Fingerprint

Q = "model.layers.0.self_attn.q_proj"
DOWN = "model.layers.1.mlp.down_proj"
NF4 = torch.tensor([-1, -0.7, -0.5, -0.4, -0.3, -0.2, -0.1, 0, 0.08, 0.16, 0.25, 0.34, 0.44, 0.56, 0.72, 1])


def written(folder, architecture="LlamaForCausalLM", edit=None):
    """A pruned model and its masks on the disk."""
    model = tiny.make_model(architecture)
    masks = dict(prune_model(model, None, method="magnitude", sparsity=0.5).masks)
    if edit is not None:
        edit(model)
    model.save_pretrained(folder / "model", max_shard_size="10KB")
    stored = StoredMasks(masks, Fingerprint("a", "b", "c" * 64), "magnitude", {})
    return folder / "model", save_masks(folder / "masks.safetensors", stored), masks


def requantised(folder, edit):
    """Write a folder's tensors anew as one file of a quantised model."""
    tensors = {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}
    for file in folder.glob("model*safetensors*"):
        file.unlink()
    save_file(edit(tensors), folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text()) | {"quantization_config": {"quant_method": "made up"}}
    (folder / "config.json").write_text(json.dumps(config))


def int8(tensors, names):
    for name in names:
        weight = tensors[f"{name}.weight"]
        scale = weight.abs().amax(1, keepdim=True) / 127
        tensors[f"{name}.weight"] = (weight / scale).round().to(torch.int8)
        tensors[f"{name}.weight_scale"] = scale
    return tensors


def four_bits(tensors, names):
    """As bitsandbytes packs them: two codes to a byte, the first in the high half."""
    for name in names:
        weight = tensors[f"{name}.weight"]
        codes = (weight.flatten()[:, None] / weight.abs().max() - NF4).abs().argmin(1).to(torch.uint8)
        tensors[f"{name}.weight"] = (codes[::2] << 4 | codes[1::2]).reshape(-1, 1)
        tensors[f"{name}.weight.quant_map"] = NF4.clone()
    return tensors


@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "GPT2LMHeadModel", "MixtralForCausalLM"])
def test_a_pruned_folder_has_all_its_zeros(architecture, tmp_path):
    folder, file, masks = written(tmp_path, architecture)
    found = {matrix.name: matrix for matrix in verify_masks(str(folder), file)}

    assert found.keys() == masks.keys()
    for name, mask in masks.items():
        assert found[name] == VerifiedMatrix(name, mask.numel(), int((~mask).sum()), 0)


def test_what_is_filled_is_counted_where_it_is(tmp_path, capsys):
    def edit(model):
        q, down = model.get_submodule(Q).weight, model.get_submodule(DOWN).weight
        with torch.no_grad():
            q[q == 0] = 1e-30
            down[(down == 0).nonzero()[0].tolist()[0], :] = 1

    folder, file, masks = written(tmp_path, edit=edit)
    row = (~masks[DOWN]).nonzero()[0].tolist()[0]
    found = {matrix.name: matrix.filled for matrix in verify_masks(str(folder), file) if matrix.filled}

    assert found == {Q: int((~masks[Q]).sum()), DOWN: int((~masks[DOWN][row]).sum())}
    assert main(["verify", str(folder), "--masks", str(file)]) == 2
    said = capsys.readouterr()
    assert f"FilledZerosError: {sum(found.values())} weights" in said.err
    assert f"in 2 matrices, most in {Q} ({found[Q]})" in said.err
    assert f"2 of {len(masks)} matrices have weights" in " ".join(said.out.split())
    assert Q in said.out
    assert "model.layers.0.self_attn.k_proj" not in said.out


def test_a_folder_with_all_zeros_ends_well(tmp_path, capsys):
    folder, file, masks = written(tmp_path)
    capsys.readouterr()

    assert main(["verify", str(folder), "--masks", str(file)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert f"{sum(int((~mask).sum()) for mask in masks.values()):,}" in said.out


@pytest.mark.parametrize("quantise", [int8, four_bits])
def test_a_quantised_folder_is_counted_by_what_its_codes_stand_for(quantise, tmp_path):
    folder, file, masks = written(tmp_path)
    requantised(folder, lambda tensors: quantise(tensors, masks))

    assert [matrix.filled for matrix in verify_masks(str(folder), file)] == [0] * len(masks)


@pytest.mark.parametrize("quantise", [int8, four_bits])
def test_a_quantised_dense_matrix_is_seen(quantise, tmp_path):
    def edit(model):
        with torch.no_grad():
            model.get_submodule(Q).weight.fill_(0.3)

    folder, file, masks = written(tmp_path, edit=edit)
    requantised(folder, lambda tensors: quantise(tensors, masks))

    assert {m.name: m.filled for m in verify_masks(str(folder), file) if m.filled} == {Q: int((~masks[Q]).sum())}


def test_float8_codes_are_read_by_their_values(tmp_path):
    folder, file, masks = written(tmp_path)

    def quantise(tensors):
        return tensors | {f"{name}.weight": tensors[f"{name}.weight"].to(torch.float8_e4m3fn) for name in masks}

    requantised(folder, quantise)
    assert not any(matrix.filled for matrix in verify_masks(str(folder), file))


@pytest.mark.parametrize(
    "quantise",
    [
        lambda tensors: int8(tensors, [Q]) | {f"{Q}.weight_zero_point": torch.ones(1, dtype=torch.int8)},
        lambda tensors: int8(tensors, [Q]) | {f"{Q}.weight": tensors[f"{Q}.weight"].to(torch.uint8)},
        lambda tensors: {f"{name}_packed" if Q in name else name: value for name, value in tensors.items()},
        lambda tensors: tensors | {f"{Q}.weight": torch.zeros(128, 1, dtype=torch.uint8)},
    ],
    ids=["zero points", "unsigned", "packed under another name", "4 bits without values"],
)
def test_codes_that_alone_do_not_say_what_is_zero_are_refused(quantise, tmp_path):
    folder, file, _ = written(tmp_path)
    requantised(folder, quantise)
    with pytest.raises(BackboneLoadError, match=rf"codes of {Q} alone do not say which weights are zero.*dequantize"):
        list(verify_masks(str(folder), file))


def test_masks_of_another_model_and_files_that_are_none_are_refused(tmp_path):
    folder, file, _ = written(tmp_path)
    (tmp_path / "gpt2").mkdir()
    _, other, _ = written(tmp_path / "gpt2", "GPT2LMHeadModel")
    with pytest.raises(SettingError, match="which this model has not"):
        list(verify_masks(str(folder), other))
    with pytest.raises(CorruptArtefactError):
        list(verify_masks(str(folder), folder / "config.json"))
    next(folder.glob("model-*.safetensors")).write_bytes(b"no weights")
    with pytest.raises(BackboneLoadError, match="damaged"):
        list(verify_masks(str(folder), file))
