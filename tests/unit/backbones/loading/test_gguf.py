"""GGUF files of one's own: the same model as in the file, converted once; everything that can be wrong with a file."""

import struct

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, dequantize, quantize
from tests.unit.backbones.loading.gguf_files import TOKENIZER, tiny_llama, write_llama

from semprune.backbones import load_backbone
from semprune.backbones.loading import gguf as module
from semprune.backbones.loading.gguf_header import read_header
from semprune.backbones.loading.rotation import LLAMA_3, llama_3_factors
from semprune.errors import BackboneLoadError, SettingError, UnknownArchitectureError

pytestmark = pytest.mark.usefixtures("cache")
TEXT = "the cat sat on 3 dogs"


def logits(model, tokenizer):
    with torch.no_grad():
        return model(tokenizer(TEXT, return_tensors="pt").input_ids).logits


@pytest.fixture
def llama():
    return tiny_llama()


@pytest.fixture
def file(llama, tmp_path):
    return write_llama(tmp_path / "tiny.gguf", llama)


def test_a_file_is_the_model_that_it_was_made_of(file, llama, capsys):
    lm = load_backbone(str(file))
    assert (lm.name, lm.fingerprint.revision, lm.max_length) == (str(file), "local", 32)
    assert torch.allclose(logits(lm.model, lm.tokenizer), logits(llama, TOKENIZER), atol=1e-5)
    assert lm.tokenizer(TEXT).input_ids == TOKENIZER(TEXT).input_ids
    assert "converting tiny.gguf, once: 0.0 GB of float32 weights" in " ".join(capsys.readouterr().err.split())


def test_it_is_converted_once_and_again_where_its_content_is_another(file, llama, tmp_path, cache, monkeypatch):
    made = []
    convert = module.convert
    monkeypatch.setattr(module, "convert", lambda *given: made.append(given[1]) or convert(*given))
    first = load_backbone(str(file)).fingerprint
    copy = tmp_path / "elsewhere" / "copy.GGUF"
    copy.parent.mkdir()
    copy.write_bytes(file.read_bytes())
    assert load_backbone(str(copy.parent)).fingerprint == first  # a folder with one file stands for it
    assert made == [file]
    write_llama(file, tiny_llama(seed=1))
    assert load_backbone(str(file)).fingerprint != first
    assert len([path for path in (cache / "backbones").iterdir() if path.is_dir()]) == 2


def test_quantised_weights_are_what_their_codes_stand_for(llama, tmp_path):
    kind = GGMLQuantizationType.Q8_0
    lm = load_backbone(str(write_llama(tmp_path / "q8.gguf", llama, kind=kind)))
    weight = llama.model.layers[1].mlp.down_proj.weight.detach().numpy()
    expected = torch.from_numpy(dequantize(quantize(weight, kind), kind))
    assert torch.equal(lm.model.model.layers[1].mlp.down_proj.weight, expected)
    assert not torch.equal(expected, torch.from_numpy(weight))


def test_digits_are_split_where_the_file_says_so(llama, tmp_path):
    lm = load_backbone(str(write_llama(tmp_path / "digits.gguf", llama, pre="smollm")))
    assert lm.tokenizer.convert_ids_to_tokens(lm.tokenizer(" 14").input_ids) == ["Ġ", "1", "4"]


def test_llama_3s_scaled_rotation_is_kept(tmp_path):
    rope = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, **LLAMA_3}
    llama = tiny_llama(max_position_embeddings=131072, head_dim=64, rope_parameters=rope)
    factors = llama_3_factors(5e5, rope, 32)
    assert factors.min() == 1.0
    assert factors.max() == 8.0
    file = write_llama(tmp_path / "l3.gguf", llama, tensors=[("rope_freqs.weight", factors.astype(np.float32))])
    lm = load_backbone(str(file))
    assert lm.model.config.rope_parameters == rope
    assert torch.equal(lm.model.model.rotary_emb.inv_freq, llama.model.rotary_emb.inv_freq)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "hyena"}, "architecture hyena is not supported"),
        ({"extra": [("llama.rope.scaling.type", "yarn")]}, r"does not read its llama\.rope\.scaling\.type"),
        ({"extra": [("llama.attention.scale", 0.3)]}, r"does not read its llama\.attention\.scale"),
        ({"extra": [("split.count", 3)]}, "one of 3 parts.*llama-gguf-split --merge"),
        ({"tensors": [("rope_freqs.weight", np.linspace(1, 9, 16, dtype=np.float32))]}, "scaled .* not known"),
        ({"tensors": [("rope_factors_long.weight", np.full(16, 2.0, dtype=np.float32))]}, "rope_factors_long"),
    ],
)
def test_what_would_become_another_model_is_refused(llama, tmp_path, cache, settings, message):
    file = write_llama(tmp_path / "bad.gguf", llama, **settings)
    with pytest.raises(BackboneLoadError, match=message):
        load_backbone(str(file))
    assert [path for path in (cache / "backbones").glob("*") if path.is_dir()] == []


@pytest.mark.parametrize("kept", [0, 3, 20, 500, -1])
def test_a_file_that_was_cut_says_so(file, kept):
    content = file.read_bytes()
    file.write_bytes(content[:kept])
    message = "no GGUF file" if 0 <= kept < 4 else "ends in the middle" if kept > 0 else "header speaks of"
    with pytest.raises(BackboneLoadError, match=f"{message}.*Is its download complete"):
        load_backbone(str(file))


def test_an_unknown_quantisation_is_named(file, llama):
    header = read_header("tiny", file)
    content = bytearray(file.read_bytes())
    name = header.tensors[0].name.encode()
    place = content.index(name) + len(name) + 4 + 8 * len(header.tensors[0].shape)
    assert struct.unpack_from("<I", content, place) == (0,)
    content[place : place + 4] = struct.pack("<I", 99)
    file.write_bytes(content)
    with pytest.raises(BackboneLoadError, match=r"token_embd\.weight is of an unknown quantisation, number 99.*Q8_0"):
        load_backbone(str(file))


def test_weights_that_cannot_be_dequantised_are_named(file, monkeypatch):
    def refuse(data, kind):
        raise NotImplementedError

    monkeypatch.setattr(module, "dequantize", refuse)
    with pytest.raises(BackboneLoadError, match="its weights are F32, which are not read"):
        load_backbone(str(file))


def test_a_path_without_a_file_and_a_folder_with_several(file, tmp_path):
    with pytest.raises(BackboneLoadError, match="there is no such file"):
        load_backbone(str(tmp_path / "absent.gguf"))
    (tmp_path / "second.gguf").write_bytes(b"")
    with pytest.raises(BackboneLoadError, match=r"holds 2 GGUF files: second\.gguf, tiny\.gguf.*Pass the path of one"):
        load_backbone(str(tmp_path))
    (tmp_path / "text.gguf").write_text("not weights")
    with pytest.raises(BackboneLoadError, match="is no GGUF file"):
        load_backbone(str(tmp_path / "text.gguf"))
    with pytest.raises(SettingError, match="revision"):
        load_backbone(str(file), revision="main")


def test_a_model_that_transformers_reads_and_no_family_describes_is_refused(file, cache, monkeypatch):
    def unknown(architecture):
        raise UnknownArchitectureError(architecture, ["LlamaForCausalLM"])

    monkeypatch.setattr(module, "find_family", unknown)
    with pytest.raises(UnknownArchitectureError, match="families"):
        load_backbone(str(file))
    assert [path for path in (cache / "backbones").glob("*") if path.is_dir()] == []
