"""Calibration sequences, checked: token ids, padding and token weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.errors import EmptyCalibrationError, NonFiniteError, SettingError

MOST_TOGETHER = 4096
"""Padded tokens of a forward, up to which short sequences go together: products of few rows are slow (ours)."""

TokenWeights = Tensor | Mapping[str, Tensor]
"""Weights of tokens ``[sequences, tokens]``: the same for every matrix, or each matrix's own by its name."""


def together(length: int, batch_size: int) -> int:
    """Return how many sequences a forward takes where they are to be quick: more than asked where they are short.

    Example:
        >>> together(128, 8), together(2048, 8)
        (32, 8)
    """
    return max(batch_size, MOST_TOGETHER // length)


def rows_of(batches: Sequence[slice]) -> Int[Tensor, " rows"]:
    """Return the sequences of some batches, in order."""
    return torch.cat([torch.arange(batch.start, batch.stop) for batch in batches] or [torch.arange(0)])


def weights_of(tau: TokenWeights | None, batch: slice | Tensor | tuple[slice, slice]) -> TokenWeights | None:
    """Return the weights of some sequences, or of some of their tokens."""
    if isinstance(tau, Mapping):
        return {name: weights[batch] for name, weights in tau.items()}
    return None if tau is None else tau[batch]


@dataclass(frozen=True, slots=True)
class CalibrationTokens:
    """Checked calibration sequences.

    Attributes:
        input_ids: Token ids.
        attention_mask: 1 for tokens, 0 for padding; None where nothing is padded.
        tau: Weight of each token in the statistics, 0 for padding; None where every weight is 1.
    """

    input_ids: Int[Tensor, "sequences tokens"]
    attention_mask: Int[Tensor, "sequences tokens"] | None
    tau: Float[Tensor, "sequences tokens"] | None

    def mapped(self, change: Callable[[Tensor], Tensor]) -> CalibrationTokens:
        """Return what a change makes of the token ids, and of the mask and the weights where there are any."""
        mask, tau = (None if part is None else change(part) for part in (self.attention_mask, self.tau))
        return CalibrationTokens(change(self.input_ids), mask, tau)

    def take(self, batches: Sequence[slice], device: torch.device) -> CalibrationTokens:
        """Return the sequences of some batches, in order, on a device."""
        rows = rows_of(batches)
        return self.mapped(lambda part: part[rows].to(device))


def hash_calibration(input_ids: Int[Tensor, "sequences tokens"], tau: Tensor | None = None) -> str:
    """Return the sha256 over shape and token ids, and over token weights where they are not all 1.

    Without weights it is the ``token_hash`` of the calibration data module that gave the sequences.
    """
    digest = hashlib.sha256(str(tuple(input_ids.shape)).encode())
    digest.update(input_ids.cpu().numpy().astype("<i8").tobytes())
    if tau is not None:
        digest.update(tau.cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def check_calibration(
    input_ids: Tensor | None, attention_mask: Tensor | None, token_weights: Tensor | None, vocabulary: int
) -> CalibrationTokens:
    """Return checked calibration sequences, on the CPU.

    Args:
        input_ids: Integers ``[sequences, tokens]``.
        attention_mask: 0 and 1 of the same shape, or None.
        token_weights: Finite, non-negative weights of the same shape, or None.
        vocabulary: Number of token ids that the model knows.

    Raises:
        EmptyCalibrationError: There is no token.
        SettingError: A shape, dtype or value does not fit; or a sequence is padding only.
        NonFiniteError: A token weight is NaN or infinite.
    """
    if input_ids is None or input_ids.numel() == 0:
        length = 1 if input_ids is None else max(1, input_ids.shape[-1])
        raise EmptyCalibrationError("input_ids", 0, length)
    if input_ids.ndim != 2 or input_ids.is_floating_point() or input_ids.dtype == torch.bool:
        got = f"{input_ids.dtype} {tuple(input_ids.shape)}"
        raise SettingError("input_ids", got, "integers of shape [sequences, tokens]")
    ids = input_ids.detach().cpu().long()
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocabulary:
        raise SettingError("input_ids", f"ids from {low} to {high}", f"ids from 0 to {vocabulary - 1}")
    mask = _check_mask(attention_mask, ids)
    weights = _check_weights(token_weights, ids)
    if mask is not None:
        weights = mask.float() if weights is None else weights * mask
    return CalibrationTokens(ids, mask, weights)


def _check_mask(attention_mask: Tensor | None, ids: Tensor) -> Tensor | None:
    if attention_mask is None:
        return None
    mask = _same_shape("attention_mask", attention_mask, ids).long()
    if not torch.equal(mask, attention_mask.detach().cpu()) or not ((mask == 0) | (mask == 1)).all():
        raise SettingError("attention_mask", "other values", "0 for padding and 1 for tokens")
    if not mask.any():
        raise EmptyCalibrationError("input_ids", 0, ids.shape[1])
    if not mask.any(-1).all():
        row = int((~mask.any(-1)).nonzero()[0])
        raise SettingError("attention_mask", f"row {row} of zeros", "1 for at least one token of each sequence")
    return None if mask.all() else mask


def _check_weights(token_weights: Tensor | None, ids: Tensor) -> Tensor | None:
    if token_weights is None:
        return None
    weights = _same_shape("token_weights", token_weights, ids).float()
    if not weights.isfinite().all():
        raise NonFiniteError("token_weights", "Pass a finite weight for every token.")
    if (weights < 0).any() or not (weights > 0).any():
        raise SettingError("token_weights", f"min {weights.min():g}, max {weights.max():g}", "≥ 0, and not all 0")
    return None if (weights == 1).all() else weights


def _same_shape(setting: str, tensor: Tensor, ids: Tensor) -> Tensor:
    if tensor.shape != ids.shape:
        raise SettingError(setting, tuple(tensor.shape), f"of the shape of input_ids, {tuple(ids.shape)}")
    return tensor.detach().cpu()
