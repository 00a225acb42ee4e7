"""Scores and metrics."""

from __future__ import annotations

from semprune.errors.base import SempruneError, UnknownNameError


class UnknownMetricError(UnknownNameError):
    """No such metric of choice scores."""

    kind = "metric"


class OutOfMemoryError(SempruneError):
    """Memory that ran out where the batch may not, or cannot, be smaller."""

    def __init__(self, tokens: int, token_budget: int | str) -> None:
        """Name the batch's size and the budget."""
        remedy = (
            "One request alone is too large: use a smaller dtype, a larger device or shorter prompts."
            if token_budget == "auto"
            else "Pass token_budget='auto', which halves it until it fits, or a smaller number."
        )
        super().__init__(f"memory ran out on a batch of {tokens} tokens (token_budget {token_budget}). {remedy}")


class MetricUndefinedError(SempruneError):
    """A metric asked for on a data set where it has no meaning."""

    def __init__(self, metric: str, detail: str) -> None:
        """Name the metric and why it is not defined."""
        super().__init__(
            f"metric '{metric}' is not defined here: {detail}. "
            "It needs one fixed label set; remove it from `metrics` in the data set's YAML."
        )


class UnknownTokenError(SempruneError):
    """Token ids that the model has no embedding for.

    Example:
        >>> raise UnknownTokenError(50300, 50257)
        Traceback (most recent call last):
        ...
        semprune.errors.UnknownTokenError: token id 50300 is none of the model's, which go from 0 to 50256. The \
tokenizer is another model's, or has tokens that were added without `model.resize_token_embeddings`.
    """

    def __init__(self, token: int, vocabulary: int) -> None:
        """Name the token and what the model knows."""
        super().__init__(
            f"token id {token} is none of the model's, which go from 0 to {vocabulary - 1}. The tokenizer is another "
            "model's, or has tokens that were added without `model.resize_token_embeddings`."
        )


class UnpairedPredictionsError(SempruneError):
    """Dense and pruned predictions that are not of the same items."""

    def __init__(self, dataset: str, only_dense: int, only_pruned: int) -> None:
        """Name the data set and how many items lack a partner."""
        super().__init__(
            f"data set '{dataset}': {only_dense} items have dense predictions only, {only_pruned} pruned only. "
            "Score both models with the same data sets, limit, seed and prompts."
        )
