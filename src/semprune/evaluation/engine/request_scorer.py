"""Log-likelihoods of many requests: what they share is computed once, in batches that fit the memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from semprune.data.batches.encoding import EncodedRequest
from semprune.errors import OutOfMemoryError
from semprune.evaluation.engine.causal_lm import CausalLM, check_tokens, input_device
from semprune.evaluation.engine.packing import PackedBatch, Scored, pack, plan_batches, score_packed
from semprune.evaluation.engine.prefix_tree import PrefixTree, grow_trees
from semprune.evaluation.engine.tree_attention import reads_trees
from semprune.ranges import check_value
from semprune.types import TokenBudget

ENGINE_VERSION = 2
"""Raised whenever scores may change; scores stored by another version are not read."""

FIRST_BUDGET = {"cpu": 1024, "cuda": 2**15}
"""Where ``auto`` starts. On a CPU more tokens at once are slower: larger trees share a batch with smaller ones, and its
rows are as long as the largest. A GPU halves it as often as it must (ours)."""

logger = logging.getLogger("semprune.evaluation")


@dataclass(slots=True)
class Throughput:
    """What scoring cost so far.

    Attributes:
        requests: Requests scored.
        tokens: Tokens computed: those that requests share count once, padding does not count.
        logits: Positions whose logits were made.
        read: Tokens of the requests themselves, each with its context: what is computed where nothing is shared.
        seconds: Time in forwards and around them.
        token_budget: Most tokens of a batch, as it was in the end.
        halved: How often the budget was halved because memory ran out.
    """

    requests: int = 0
    tokens: int = 0
    logits: int = 0
    read: int = 0
    seconds: float = 0.0
    token_budget: int = 0
    halved: int = 0

    @property
    def tokens_per_second(self) -> float:
        """Tokens computed per second; 0 before the first batch."""
        return self.tokens / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class Engine:
    """Scores requests with one model.

    Attributes:
        model: Any causal LM with a head.
        padding: Token id to fill rows with.
        token_budget: Most tokens of a forward. ``auto`` starts at :data:`FIRST_BUDGET` and is halved, with a warning,
            whenever memory runs out; a number is kept, and memory that runs out is an error.
        throughput: What it cost so far.

    Raises:
        SettingError: If the budget is not positive.
    """

    model: CausalLM
    padding: int
    token_budget: TokenBudget = "auto"
    throughput: Throughput = field(default_factory=Throughput)

    def __post_init__(self) -> None:
        """Check the budget."""
        check_value("token_budget", self.token_budget, TokenBudget)
        budget = self.token_budget
        if budget == "auto":
            device = input_device(self.model).type
            budget = FIRST_BUDGET.get(device, FIRST_BUDGET["cpu"])
        self.throughput.token_budget = budget

    def score(self, requests: Sequence[EncodedRequest]) -> Iterator[Scored]:
        """Score requests, longest first.

        Args:
            requests: Encoded requests.

        Yields:
            The scores of each batch; every request is in one of them. A model without numbers gives NaN.

        Raises:
            OutOfMemoryError: If memory runs out and the budget is fixed, or cannot be smaller.
            UnknownTokenError: If the model has no embedding for a token.
        """
        check_tokens(self.model, {token for each in requests for token in (*each.input_ids, *each.targets)})
        branching = reads_trees(self.model)
        waiting = self._plan(requests, range(len(requests)), branching)
        while waiting:
            started = time.perf_counter()
            try:
                scored = self._forward(waiting[0], requests)
            except (RuntimeError, MemoryError) as error:
                if not ran_out_of_memory(error):
                    raise
                self._halve(waiting[0], error)
                scored = None  # planned anew below, where the error no longer holds what filled the memory
            if scored is None:
                left = [index for batch in waiting for tree in batch for index in tree.requests]
                waiting = self._plan(requests, left, branching)
                continue
            self._count(waiting.pop(0), requests, time.perf_counter() - started)
            yield scored

    def _plan(self, requests: Sequence[EncodedRequest], left: Sequence[int], branching: bool) -> list[list[PrefixTree]]:
        budget = self.throughput.token_budget
        trees = grow_trees(requests, left, branching=branching, largest=budget)
        return plan_batches(trees, budget, branching=branching)

    def _forward(self, trees: Sequence[PrefixTree], requests: Sequence[EncodedRequest]) -> Scored:
        return score_packed(self.model, pack(trees, requests, self.padding))

    def _halve(self, batch: Sequence[PrefixTree], error: BaseException) -> None:
        budget = self.throughput.token_budget
        if self.token_budget != "auto" or (len(batch) == 1 and len(batch[0].requests) == 1):
            raise OutOfMemoryError(sum(len(tree.tokens) for tree in batch), self.token_budget) from error
        self.throughput.token_budget = max(1, min(budget, sum(len(tree.tokens) for tree in batch)) // 2)
        self.throughput.halved += 1
        logger.warning("memory ran out at %d tokens, going on with %d", budget, self.throughput.token_budget)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _count(self, batch: Sequence[PrefixTree], requests: Sequence[EncodedRequest], seconds: float) -> None:
        own = [requests[index] for tree in batch for index in tree.requests]
        self.throughput.requests += len(own)
        self.throughput.tokens += sum(len(tree.tokens) for tree in batch)
        self.throughput.logits += sum(len({place for own in tree.positions for place in own}) for tree in batch)
        self.throughput.read += sum(len(request.input_ids) for request in own)
        self.throughput.seconds += seconds


def packed_batches(
    model: CausalLM, requests: Sequence[EncodedRequest], padding: int, token_budget: int
) -> Iterator[PackedBatch]:
    """The batches in which an engine of a fixed budget reads requests, for whoever runs several models on each.

    Args:
        model: The model, or one of several of one class.
        requests: Encoded requests.
        padding: Token id to fill rows with.
        token_budget: Most tokens of a batch.

    Raises:
        UnknownTokenError: If the model has no embedding for a token.
    """
    check_tokens(model, {token for each in requests for token in (*each.input_ids, *each.targets)})
    branching = reads_trees(model)
    trees = grow_trees(requests, branching=branching, largest=token_budget)
    for batch in plan_batches(trees, token_budget, branching=branching):
        yield pack(batch, requests, padding)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU.

    Example:
        >>> ran_out_of_memory(MemoryError()), ran_out_of_memory(RuntimeError("shapes do not match"))
        (True, False)
    """
    # torch's CPU allocator raises a plain RuntimeError
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
