"""What a model's own forward needs to read a row of prefix trees: positions, and who sees whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

# fmt: off
ARCHITECTURES = frozenset({
    "CohereForCausalLM", "Cohere2ForCausalLM", "Exaone4ForCausalLM", "FalconForCausalLM", "GPT2LMHeadModel",
    "GPTBigCodeForCausalLM", "GPTJForCausalLM", "GPTNeoXForCausalLM", "GemmaForCausalLM", "Gemma2ForCausalLM",
    "Gemma3ForCausalLM", "GlmForCausalLM", "Glm4ForCausalLM", "GptOssForCausalLM", "GraniteForCausalLM",
    "LlamaForCausalLM", "MinistralForCausalLM", "MistralForCausalLM", "MixtralForCausalLM", "NemotronForCausalLM",
    "OPTForCausalLM", "OlmoForCausalLM", "Olmo2ForCausalLM", "Olmo3ForCausalLM", "OlmoeForCausalLM", "PhiForCausalLM",
    "Phi3ForCausalLM", "Qwen2ForCausalLM", "Qwen2MoeForCausalLM", "Qwen3ForCausalLM", "Qwen3MoeForCausalLM",
    "SeedOssForCausalLM", "SmolLM3ForCausalLM", "StableLmForCausalLM", "Starcoder2ForCausalLM",
})
# fmt: on
"""Classes that read trees exactly, each shown by a test. Others (BLOOM, whose positions are in its attention's mask;
GPT-Neo, which makes the windows of its local layers itself; anything unknown) read one text per row."""

LAYER_TYPES = frozenset({"full_attention", "sliding_attention"})


@dataclass(frozen=True, slots=True)
class TreeRows:
    """Where the tokens of packed rows stand in their trees.

    Attributes:
        depth: Position of each token in its text.
        reach: Index in the row of each token's last descendant; padding reaches itself only.
    """

    depth: Int[Tensor, "rows tokens"]
    reach: Int[Tensor, "rows tokens"]


def reads_trees(model: Any) -> bool:
    """Whether a model reads trees exactly, so that what requests share is computed once.

    Args:
        model: Any model.

    Returns:
        True for the classes of :data:`ARCHITECTURES` under eager or SDPA attention, without position biases (ALiBi)
        and with full or sliding attention only.
    """
    config = getattr(model, "config", None)
    return (
        type(model).__name__ in ARCHITECTURES
        and getattr(config, "_attn_implementation", None) in ("eager", "sdpa")
        and not getattr(config, "alibi", False)
        and LAYER_TYPES.issuperset(getattr(config, "layer_types", None) or ())
    )


def visible(trees: TreeRows, window: int | None = None) -> Bool[Tensor, "rows tokens tokens"]:
    """Which tokens (last axis) each token sees: itself and its ancestors, the nearest ``window`` of them.

    Args:
        trees: Packed rows.
        window: Tokens that a sliding attention sees, the token itself included; None for all.

    Example:
        >>> branches = TreeRows(depth=torch.tensor([[0, 1, 1]]), reach=torch.tensor([[2, 1, 2]]))
        >>> visible(branches)[0].long().tolist()
        [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    """
    place = torch.arange(trees.reach.shape[1], device=trees.reach.device)
    seen = (place[:, None] >= place) & (place[:, None] <= trees.reach[:, None, :])
    if window:
        seen &= trees.depth[:, :, None] - trees.depth[:, None, :] < window
    return seen


def tree_inputs(model: Any, trees: TreeRows) -> dict[str, Any]:
    """Attention mask and positions for the forward of a model that :func:`reads_trees`.

    Args:
        model: The model.
        trees: Packed rows, on the model's device.

    Returns:
        ``position_ids`` ``[rows, tokens]``, and ``attention_mask`` ``[rows, 1, tokens, tokens]`` in the form that the
        model's attention takes (true where it sees for SDPA, values to add for eager attention); one for each kind of
        layer where the model has several.
    """
    config = model.config
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    masks: Any
    if "sliding_attention" in kinds:
        full, sliding = _as_mask(model, visible(trees)), _as_mask(model, visible(trees, window))
        masks = {"full_attention": full, "sliding_attention": sliding} if len(kinds) > 1 else sliding
    else:
        masks = _as_mask(model, visible(trees, None if kinds else window))
    return {"attention_mask": masks, "position_ids": trees.depth}


def _as_mask(model: Any, seen: Bool[Tensor, "rows tokens tokens"]) -> Shaped[Tensor, "rows 1 tokens tokens"]:
    if model.config._attn_implementation == "sdpa":  # true and false fit queries of any dtype, also under autocast
        return seen[:, None]
    lowest = torch.finfo(model.dtype).min
    return torch.zeros(seen.shape, dtype=model.dtype, device=seen.device).masked_fill_(~seen, lowest)[:, None]
