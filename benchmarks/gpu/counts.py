"""What each part asks of a GPU beyond its floor, counted on a CPU: launches, bytes, waits of the host.

python -m benchmarks.gpu.counts

Counts of launches and waits are those of the model that is named, and hold for every width but SparseGPT's, whose
columns are updated one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from benchmarks.attribution_cost import TypeLabels, accumulate, add_variances, batches_of, forward, prepared
from benchmarks.gpu.counting import Counts, count
from benchmarks.gpu.models import random_ids, small_backbone
from benchmarks.gpu.parts.scoring import requests
from benchmarks.gpu.settings import Sizes
from benchmarks.gpu.timing import Call
from benchmarks.pruning import forward_blocks
from benchmarks.pruning_7b import build

from semprune.evaluation.engine.request_scorer import Engine
from semprune.evaluation.perplexity import perplexity
from semprune.pruning import prune_model

CPU = torch.device("cpu")
SIZES = Sizes(
    small_blocks=1, large_blocks=1, documents=8, document_tokens=64, document_batch=8, sequences=8, length=64, items=8,
    text=8, text_length=64,
)  # fmt: skip
"""One block of SmolLM2's shape and batches of eight sequences: everything is per block and batch."""


def main() -> None:
    """Print the table."""
    print("| what | launches | of which its floor | MB moved | of which its floor | waits of the host | MB fetched |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for what, floor, call in parts(SIZES):
        whole, least = counted(call), counted(floor)
        print(
            f"| {what} | {whole.launches:,} | {least.launches:,} | {whole.moved_bytes / 1e6:,.0f} | "
            f"{least.moved_bytes / 1e6:,.0f} | {whole.waits - least.waits:,} | {whole.fetched_bytes / 1e6:,.1f} |"
        )


def counted(call: Call) -> Counts:
    """Count a call without its first run, which prepares what later ones find."""
    call()
    return count(call)


def parts(sizes: Sizes) -> Iterator[tuple[str, Call, Call]]:
    """Yield each part's name, its floor and itself."""
    yield from fit(sizes)
    yield from pruning(sizes)
    yield from evaluation(sizes)


def fit(sizes: Sizes) -> Iterator[tuple[str, Call, Call]]:
    """One batch of the fit's passes, in fp32."""
    lm, vocabulary = small_backbone(sizes, CPU, torch.float32), sizes.small["vocab_size"]
    ids = random_ids(sizes.documents, sizes.document_tokens, vocabulary, CPU)
    batches, labels = batches_of(ids, sizes.document_batch), TypeLabels(ids, vocabulary, sizes.concepts)
    learner = prepared(lm, batches, labels, sizes.concepts)
    floor = partial(forward, lm, batches)
    yield "fit, sums", floor, partial(accumulate, learner, lm, batches, labels)
    learner.finish_sums()
    yield "fit, variances", floor, partial(add_variances, learner, lm, batches, labels)


def pruning(sizes: Sizes) -> Iterator[tuple[str, Call, Call]]:
    """One block in bfloat16; its outputs are nobody's inputs, so that the floor is one forward."""
    model = build(sizes.small, sizes.large_blocks, CPU)
    ids = random_ids(sizes.sequences, sizes.length, sizes.small["vocab_size"], CPU)
    dense = {name: value.clone() for name, value in model.state_dict().items()}

    def prune(method: str) -> None:
        prune_model(model, ids, method=method, sparsity=0.5, batch_size=sizes.batch)

    for method in ("wanda", "ria", "sparsegpt"):
        yield method, partial(forward_blocks, model, ids, 1, sizes.batch), partial(prune, method)
        model.load_state_dict(dense)


def evaluation(sizes: Sizes) -> Iterator[tuple[str, Call, Call]]:
    """One batch of scored items and one of a text, in bfloat16."""
    lm = small_backbone(sizes, CPU, torch.bfloat16)
    asked, ids = requests(sizes), random_ids(sizes.text, sizes.text_length, sizes.small["vocab_size"], CPU)

    @torch.inference_mode()
    def bare() -> None:
        lm.model(input_ids=ids, use_cache=False)

    yield "scoring", bare, lambda: list(Engine(lm.model, 0).score(asked))
    yield "perplexity", bare, lambda: perplexity(lm.model, ids, sizes.batch)


if __name__ == "__main__":
    main()
