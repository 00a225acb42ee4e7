"""Tiny GGUF files, laid out as llama.cpp's converter lays out a Llama."""

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quantize
from tests import models

WORDS = ["the cat sat on the mat", "3 cats and 14 dogs", "a river rose in the night"]
TOKENIZER = models.byte_level_tokenizer(WORDS, 300)
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def tiny_llama(**changes):
    """A Llama whose rows are whole blocks of 32, for the tokenizer of these files."""
    sizes = {"vocab_size": len(TOKENIZER), "hidden_size": 64, "intermediate_size": 96, "tie_word_embeddings": True}
    return models.llama(**{**sizes, **changes})


def write_llama(
    path: Path, model, *, kind=GGMLQuantizationType.F32, pre="default", architecture="llama", extra=(), tensors=()
):
    """Write a Llama; ``extra`` are more metadata, ``tensors`` more tensors."""
    writer = GGUFWriter(path, architecture)
    config = model.config
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    add_tokenizer(writer, pre)
    for key, value in extra:
        (
            writer.add_string
            if isinstance(value, str)
            else writer.add_uint32
            if isinstance(value, int)
            else writer.add_float32
        )(key, value)
    for name, values in [*named_tensors(model), *tensors]:
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tokenizer(writer, pre):
    vocabulary = TOKENIZER.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.get)
    special = set(TOKENIZER.all_special_tokens)
    merges = json.loads(TOKENIZER.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(vocabulary["<s>"])
    writer.add_eos_token_id(vocabulary["</s>"])


def named_tensors(model):
    """The model's tensors in llama.cpp's names and order of rotary rows."""
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    for name, value in model.state_dict().items():
        values = value.float().numpy()
        parts = name.removesuffix(".weight").split(".")
        if parts[:2] == ["model", "layers"]:
            short = NAMES[".".join(parts[3:])]
            if short in heads:
                values = values.reshape(heads[short], 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
            yield f"blk.{parts[2]}.{short}.weight", np.ascontiguousarray(values)
        elif name != "lm_head.weight":
            yield {"embed_tokens": "token_embd", "norm": "output_norm"}[parts[1]] + ".weight", values
