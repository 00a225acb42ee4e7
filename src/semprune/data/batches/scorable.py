"""Which items can be scored: those of which every choice has a token of its own; the others are listed and left out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from semprune.data.batches.batching import EncodedItem, encode_item
from semprune.data.batches.encoding import Truncate
from semprune.errors import NoOwnTokenError, TooManyLeftOutError
from semprune.types import Item

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger("semprune.data")

MOST_LEFT_OUT: Final = 0.2
"""Largest share of a data set's items of one prompt that may be left out. Beyond it the prompt is at fault, not an
item: what is left would be another data set (ours)."""

_LISTED = 5  # identifiers in a line of the log; all are in the provenance


@dataclass(frozen=True, slots=True)
class ScorableItems:
    """Items as token ids, and those that cannot be scored.

    Attributes:
        items: Encoded, in the order of the items.
        left_out: Items one of whose choices has no token of its own: it is empty, or melts into the context's last
            token. That is the tokenizer's doing, so that models of one tokenizer leave out the same items.
    """

    items: tuple[EncodedItem, ...]
    left_out: tuple[Item, ...] = ()

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """Items left out, by data set and prompt; only where there are any."""
        return dict(Counter((item.dataset, item.prompt) for item in self.left_out))

    @property
    def listed(self) -> dict[str, dict[str, list[str]]]:
        """Identifiers of the items left out, by data set and prompt."""
        found: dict[str, dict[str, list[str]]] = {}
        for item in self.left_out:
            found.setdefault(item.dataset, {}).setdefault(item.prompt, []).append(item.item_id)
        return found


def encode_items(
    tokenizer: PreTrainedTokenizerBase, items: Sequence[Item], max_length: int, *, truncate: Truncate = "error"
) -> ScorableItems:
    """Encode items, and leave out those one of whose choices has no token of its own; the log names them.

    Args:
        tokenizer: The model's tokenizer.
        items: Of any data sets and prompts.
        max_length: Tokens that the model can read.
        truncate: See :func:`semprune.data.batches.encoding.encode_request`.

    Raises:
        PromptTooLongError: If a request does not fit.
        TooManyLeftOutError: If more than :data:`MOST_LEFT_OUT` of a data set's items of one prompt are left out.
    """
    encoded: list[EncodedItem] = []
    left_out: list[Item] = []
    reasons: dict[tuple[str, str], str] = {}
    for item in items:
        try:
            encoded.append(encode_item(tokenizer, item, max_length, truncate=truncate))
        except NoOwnTokenError as error:
            left_out.append(item)
            reasons.setdefault((item.dataset, item.prompt), str(error))
    found = ScorableItems(tuple(encoded), tuple(left_out))
    asked = Counter((item.dataset, item.prompt) for item in items)
    for (dataset, prompt), count in found.counts.items():
        of, first = asked[dataset, prompt], reasons[dataset, prompt]
        if count > MOST_LEFT_OUT * of:
            raise TooManyLeftOutError(dataset, prompt, count, of, MOST_LEFT_OUT, first)
        names = found.listed[dataset][prompt]
        more = ", …" if count > _LISTED else ""
        logger.warning(
            "data set '%s', prompt '%s': %d of %d items are left out, a choice has no token of its own (%s%s)",
            dataset, prompt, count, of, ", ".join(names[:_LISTED]), more,
        )  # fmt: skip
    return found
