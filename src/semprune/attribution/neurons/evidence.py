"""Where a concept's evidence lies in a batch: at the tokens of its words, or at all tokens of its documents."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from semprune.attribution.fit.learner import Observed


def token_evidence(seen: Observed, classes: int) -> Bool[Tensor, "documents tokens concepts"]:
    """Tokens that count as a concept's own, token-level concepts first, then classes.

    A class has no tokens of its own: all valid tokens of its documents count. Tokens that do not count (padding, first
    positions) are no evidence of anything.

    Args:
        seen: A prepared batch.
        classes: Number of sequence-level concepts.
    """
    own = seen.batch.label[:, None] == torch.arange(classes, device=seen.valid.device)
    both = torch.cat([seen.labels, own[:, None].expand(-1, seen.valid.shape[1], -1)], dim=-1)
    return both & seen.valid[..., None]
