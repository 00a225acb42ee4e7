"""A study of invented items whose drops are known: two methods, three calibration sets, two sparsities, two seeds."""

from itertools import product

import numpy as np
import pandas as pd

FAMILIES = {"sst2": "sentiment", "movies": "sentiment", "piqa": "reasoning", "copa": "reasoning"}
HARM = {"good_set": 0.0, "middle_set": 0.1, "sentiment_prompts": 0.1}  # what a calibration set adds to every drop
ITEMS = 400


def cells():
    """Every pruned model with its true chance to break a right item, by family."""
    for method, calibration, sparsity, seed in product(("wanda", "ria"), HARM, (0.3, 0.5), (0, 1)):
        harm = 0.1 + 0.2 * (sparsity == 0.5) + 0.1 * (method == "ria") + HARM[calibration]
        yield (
            (method, sparsity, calibration, seed, True),
            {
                family: harm - 0.1 * (calibration == "sentiment_prompts" and family == "sentiment")
                for family in ("sentiment", "reasoning")
            },
        )
    for calibration in HARM:  # stated for each, measured once
        yield ("magnitude", 0.5, calibration, 0, False), {"sentiment": 0.6, "reasoning": 0.6}


def study(seed=0):
    """Tables ``predictions`` and ``results`` of the planted study."""
    rng = np.random.default_rng(seed)
    predictions, results = [], []
    right = {dataset: rng.random(ITEMS) < 0.9 for dataset in FAMILIES}
    labels = {dataset: rng.integers(0, 2, ITEMS) for dataset in FAMILIES}
    luck = {dataset: rng.random(ITEMS) for dataset in FAMILIES}  # the same items break first under every model
    dense = {dataset: {family: 0.0 for family in ("sentiment", "reasoning")} for dataset in FAMILIES}
    for key, harms in [(("dense", 0.0, "", 0, False), dense["sst2"]), *cells()]:
        for dataset, family in FAMILIES.items():
            correct = right[dataset] & (luck[dataset] >= harms[family])
            label = labels[dataset]
            predicted = np.where(correct, label, 1 - label)
            common = row(key) | {"dataset": dataset, "prompt": "p"}
            scores = [[-1.0 - choice, -2.0 + choice] for choice in predicted]
            predictions.append(pd.DataFrame(common | {
                "item_id": [f"{k:03}" for k in range(ITEMS)], "document_id": [f"{k // 2:03}" for k in range(ITEMS)],
                "label": label, "prediction": predicted, "scores": scores,
            }))  # fmt: skip
            value, before = correct.mean(), right[dataset].mean()
            results.append(common | {"family": family, "metric": "accuracy", "value": value, "dense": before,
                                     "difference": value - before})  # fmt: skip
        ppl = 20.0 * np.exp(4 * harms["reasoning"])
        results.append(row(key) | {"dataset": "wiki", "prompt": "p", "family": "language_modelling", "dense": 20.0,
                                   "metric": "perplexity", "value": ppl, "difference": ppl - 20})  # fmt: skip
    return {"predictions": pd.concat(predictions, ignore_index=True), "results": pd.DataFrame(results)}


def row(key):
    """Columns of a pruned model."""
    method, sparsity, calibration, seed, calibrated = key
    size = {"calibration_sequences": 16, "calibration_length": 64} if calibration else {
        "calibration_sequences": 0, "calibration_length": 0}  # fmt: skip
    return {"backbone": "b", "method": method, "pattern": "unstructured", "sparsity": sparsity,
            "calibration": calibration, "seed": seed, "calibrated": calibrated, **size}  # fmt: skip
