"""Log-likelihoods of the same requests by semprune and by lm-evaluation-harness, as a Markdown table.

    pip install 'semprune[bench]'
    python benchmarks/parity.py --limit 6

The comparison itself, with its tolerances, is a test: tests/integration/test_lm_eval.py.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import semprune
from semprune.data import dataset_names, dataset_spec, load_items
from semprune.evaluation import predict_items
from semprune.types import Item


def shared_datasets() -> list[str]:
    """Data sets whose prompt is the harness's and whose rows come from an offline package that anyone may use."""
    specs = [dataset_spec(name) for name in dataset_names()]
    return [
        spec.name
        for spec in specs
        if spec.prompts[0].name == "harness" and spec.offline is not None and not spec.non_commercial
    ]


def harness_scores(model: Any, items: Sequence[Item]) -> list[list[float]]:
    """Log-likelihood of every choice, from the harness's own encoding of the texts."""
    instance = importlib.import_module("lm_eval.api.instance").Instance
    requests = [instance("loglikelihood", {}, arguments, 0) for item in items for arguments in item.requests]
    found = iter(model.loglikelihood(requests, disable_tqdm=True))
    return [[float(next(found)[0]) for _ in item.requests] for item in items]


def accuracies(items: Sequence[Item], scores: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Share of right answers, by summed log-likelihood and by log-likelihood per character."""
    hits = [0, 0]
    for item, own in zip(items, scores, strict=True):
        lengths = [len(choice.removeprefix(" ")) for _, choice in item.requests]
        normed = [score / length for score, length in zip(own, lengths, strict=True)]
        hits[0] += list(own).index(max(own)) == item.label
        hits[1] += normed.index(max(normed)) == item.label
    return hits[0] / len(items), hits[1] / len(items)


def row(lm: semprune.Backbone, model: Any, name: str, limit: int) -> str:
    """Compare one data set."""
    items = load_items(name, limit=limit)
    table = predict_items(lm, items).set_index("item_id").loc[[item.item_id for item in items]]
    ours, theirs = table["scores"].tolist(), harness_scores(model, items)
    apart = max(abs(a - b) for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=True))
    mine, other = accuracies(items, ours), accuracies(items, theirs)
    cells = [name, str(len(items)), str(sum(map(len, ours))), f"{apart:.1e}"]
    cells += [f"{a:.3f} / {b:.3f}" for a, b in zip(mine, other, strict=True)]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--limit", type=int, default=6, help="items of each data set")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    lm = semprune.load_backbone(arguments.backbone)
    hflm = importlib.import_module("lm_eval.models.huggingface").HFLM
    model = hflm(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=4)
    print("| data set | items | requests | largest difference, nats | acc, ours / harness | acc_norm, ours / harness |")
    print("|---|---|---|---|---|---|")
    for name in shared_datasets():
        print(row(lm, model, name, arguments.limit))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
