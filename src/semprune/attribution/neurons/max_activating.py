"""The tokens that excite chosen neurons most, with what stands around them: a few per neuron, streamed."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.io.distributed import gather_rows

MOST = 5
AROUND = 6  # tokens shown on either side


class MaxActivatingTokens:
    """Keeps the largest values of each slot, one per text, with a window of token ids.

    Attributes:
        values: Largest first.
        windows: Token ids around the place of each value, itself in the middle; -1 beyond the text.
    """

    values: Float[Tensor, "most slots"]
    windows: Int[Tensor, "most slots window"]

    def __init__(self, slots: int, device: torch.device) -> None:
        """Start without texts."""
        self.values = torch.full((MOST, slots), -torch.inf, device=device)
        self.windows = torch.full((MOST, slots, 2 * AROUND + 1), -1, dtype=torch.long, device=device)

    def add(
        self,
        values: Float[Tensor, "texts tokens slots"],
        input_ids: Int[Tensor, "texts tokens"],
        valid: Bool[Tensor, "texts tokens"],
        attention_mask: Int[Tensor, "texts tokens"],
    ) -> None:
        """Look at a batch of texts; only valid tokens can be the most exciting ones."""
        if not len(values):
            return
        best = values.float().masked_fill(~valid[..., None], -torch.inf).max(1)  # [texts, slots]
        ids = input_ids.masked_fill(~attention_mask.bool(), -1)
        padded = torch.nn.functional.pad(ids, (AROUND, AROUND), value=-1)
        reach = torch.arange(2 * AROUND + 1, device=ids.device)
        text = torch.arange(len(ids), device=ids.device)[:, None, None]
        self._keep(torch.cat([self.values, best.values]),
                   torch.cat([self.windows, padded[text, best.indices[..., None] + reach]]))  # fmt: skip

    def finish(self) -> None:
        """Gather over ranks."""
        self._keep(gather_rows(self.values), gather_rows(self.windows))

    def _keep(self, values: Float[Tensor, "n slots"], windows: Int[Tensor, "n slots window"]) -> None:
        self.values, order = values.topk(MOST, dim=0)
        self.windows = windows.gather(0, order[..., None].expand(-1, -1, windows.shape[2]))

    def of(self, slot: int) -> list[tuple[float, list[int], int, list[int]]]:
        """Value, token ids before, the token, and token ids after, of a slot's most exciting tokens."""
        out = []
        for value, window in zip(self.values[:, slot].tolist(), self.windows[:, slot].tolist(), strict=True):
            if value > -torch.inf:
                before, after = window[:AROUND], window[AROUND + 1 :]
                out.append((value, [i for i in before if i >= 0], window[AROUND], [i for i in after if i >= 0]))
        return out
