"""What a step of the learned gates costs over the frozen model's bare forward of the same tokens.

A step reads items of every concept and windows of text under gates and goes backward to these, and makes the dense
model's distributions of the windows from what it kept of them. On a CPU processor time of one thread, on a GPU time by
the clock; sides take turns, every ratio is of a pair, the median with the lowest and highest.

    python -m benchmarks.gates --repeats 5
    python -m benchmarks.gates --concepts amazon_reviews.positive bbc_news.sport --device cuda --dtype bfloat16
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from functools import partial

import torch
from benchmarks.attribution_cost import peak_bytes, place, ratio, seconds
from torch import Tensor

from semprune import load_backbone
from semprune.attribution.gates.collateral import dense_texts
from semprune.attribution.gates.learner import GateLearner
from semprune.attribution.gates.settings import GateSettings
from semprune.attribution.gates.sources import class_tasks, gate_texts
from semprune.backbones import Backbone
from semprune.backbones.hardware import fast_fp32
from semprune.data import load_documents

LIMIT, TOKENS = 200, 64
"""Texts of a data set, and tokens of a window, as in a fit."""


@fast_fp32()  # as in every command
def main() -> None:
    """Time and measure memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--concepts", nargs="+", default=["amazon_reviews.positive"])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    lm = load_backbone(asked.backbone, dtype=asked.dtype, device=asked.device)
    learner, pairs, forwards, tokens = prepared(lm, asked.concepts), [], [], 0
    forward(lm, batches_of(learner))
    before = peak_bytes(lm.device)
    learner.step()  # kernels are compiled before they are timed
    for _ in range(asked.repeats):
        batches = batches_of(learner)
        bare = seconds(partial(forward, lm, batches), lm.device)
        pairs.append((seconds(learner.step, lm.device), bare))
        forwards.append(sum(mask.numel() for _, mask in batches) / bare)
        tokens += sum(mask.numel() for _, mask in batches)
    print(f"{asked.backbone}, {lm.dtype}, {place(lm.device)}, {', '.join(asked.concepts)}")
    print(f"  {tokens / asked.repeats:,.0f} tokens a step; bare forward: {statistics.median(forwards):,.0f} tokens/s")
    print(f"  a step over the bare forward of its tokens: {ratio(pairs)}")
    print(f"  peak memory of the forward {before / 2**20:,.0f} MiB, of steps {peak_bytes(lm.device) / 2**20:,.0f} MiB")


def prepared(lm: Backbone, concepts: Sequence[str]) -> GateLearner:
    """Make a learner from items in all wordings and two texts; what it begins at is chance's."""
    settings, neurons = GateSettings(), sum(site.width for site in lm.sites)
    tasks = class_tasks(lm, concepts, limit=LIMIT)
    documents = load_documents(concepts[0].rpartition(".")[0], limit=LIMIT)
    mean = torch.zeros(neurons)
    dense = dense_texts(lm, lm.sites, gate_texts(lm, documents, settings.windows, TOKENS), mean, settings.windows)
    start = torch.rand(len(concepts), neurons, generator=torch.Generator().manual_seed(0))
    return GateLearner(lm, lm.sites, tasks, dense, mean, start, max(1, int(settings.share * neurons)), settings)


def batches_of(learner: GateLearner) -> list[tuple[Tensor, Tensor]]:
    """Return ids and masks of everything that the learner's next step reads under gates."""
    batches = []
    for concept, task in enumerate(learner.tasks.values()):
        for own, units in filter(None, [(task, learner.own(concept)), learner.other(concept)]):
            batch = own.batch(units)  # type: ignore[attr-defined]  # of classes
            batches.append((batch.input_ids, batch.attention_mask))
    chosen = learner.texts.draw(learner.settings.windows, [learner.settings.seed, learner.steps_done])
    for text, windows in enumerate(learner.texts.texts):
        ids = windows[[window for of, window in chosen if of == text]].repeat(len(learner.tasks), 1)
        batches.append((ids, torch.ones_like(ids)))
    return batches


def forward(lm: Backbone, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Read the same tokens with the frozen body alone."""
    with torch.inference_mode():
        for ids, mask in batches:
            lm.model.base_model(input_ids=ids.to(lm.device), attention_mask=mask.to(lm.device), use_cache=False)


if __name__ == "__main__":
    main()
