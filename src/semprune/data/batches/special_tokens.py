"""What a tokenizer puts around a text: the one place that decides a text's special tokens.

A model was trained on texts that its tokenizer had encoded, so by default a text begins as the tokenizer begins it:
with BOS (Llama, Gemma), with tokens of another name (GLM's ``[gMASK]<sop>``), or with none (GPT-2, Qwen, SmolLM2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semprune.errors import ConfigurationError, SettingError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Token ids that a tokenizer adds to a text by default.

    Attributes:
        prefix: Before the text.
        suffix: After it.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> SpecialTokens:
    """Return what a tokenizer, as it is set now, adds to a text.

    Raises:
        ConfigurationError: If it changes the text's own tokens too.
    """
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for before in range(len(whole) - len(plain), -1, -1):
        if whole[before : before + len(plain)] == plain:
            return SpecialTokens(tuple(whole[:before]), tuple(whole[before + len(plain) :]))
    raise ConfigurationError(
        f"tokenizer {type(tokenizer).__name__} encodes a text otherwise where it adds special tokens "
        f"({whole} instead of {plain}), so that these cannot be told from the text's. Use a tokenizer that only adds."
    )


def encode(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool = True) -> list[int]:
    """Token ids of a text.

    A text that begins with the tokenizer's prefix already, as chat templates write it, does not get it again.

    Args:
        tokenizer: The tokenizer.
        text: The text.
        special: Add the tokenizer's default special tokens.
    """
    # Not verbose: a text longer than the tokenizer's own limit is measured by the caller.
    ids: list[int] = tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
    if special and ids and ids[0] in ids[1:]:  # else there is no prefix twice, and the rest need not be asked
        plain: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if opening_length(tokenizer, plain):
            return plain
    return ids


def opening_length(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> int:
    """How many tokens of a text are the tokenizer's prefix, and blanks before it, which some chat templates print.

    Args:
        tokenizer: The tokenizer.
        tokens: Token ids of the text.

    Returns:
        Their number; 0 where the text does not begin with the prefix, or there is none.
    """
    prefix = special_tokens(tokenizer).prefix
    if not prefix or prefix[0] not in tokens:
        return 0
    place = tokens.index(prefix[0])
    end = place + len(prefix)
    return end if tuple(tokens[place:end]) == prefix and not tokenizer.decode(tokens[:place]).strip() else 0


def start_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The tokens that a text without a context is predicted from: the prefix, else BOS, else EOS.

    Raises:
        ConfigurationError: If the tokenizer has none of them.
    """
    prefix = special_tokens(tokenizer).prefix
    if prefix:
        return prefix
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return (int(token),)
    raise ConfigurationError("an empty context needs a BOS or EOS token, and the tokenizer has neither. Set bos_token.")


def window_prefix(tokenizer: PreTrainedTokenizerBase, add_bos: bool | None = None) -> tuple[int, ...]:
    """The special tokens that each window of a running text begins with.

    Args:
        tokenizer: The tokenizer.
        add_bos: None for what the tokenizer begins every text with; true for that, or BOS where it is nothing; false
            for nothing, as the pruning papers cut their windows.

    Raises:
        SettingError: If BOS is asked for and the tokenizer has none.
    """
    if add_bos is False:
        return ()
    prefix = special_tokens(tokenizer).prefix
    if prefix or add_bos is None:
        return prefix
    if tokenizer.bos_token_id is None:
        raise SettingError("add_bos", True, "null or false with a tokenizer that has no BOS token")
    return (int(tokenizer.bos_token_id),)


def spelled(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """Special tokens as provenance names them: their texts, or ``none``."""
    return " ".join(tokenizer.convert_ids_to_tokens(list(tokens))) or "none"


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that ends texts with a special token: it would be scored, and pruned for, as text.

    Raises:
        ConfigurationError: If it does.
    """
    if special_tokens(tokenizer).suffix:
        raise ConfigurationError(
            f"tokenizer {type(tokenizer).__name__} adds special tokens after a text, so that the tokens of a "
            "continuation cannot be told from them. Set add_eos_token to false on the tokenizer."
        )
