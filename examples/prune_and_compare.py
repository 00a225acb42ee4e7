"""Prune a model with every method, and compare it with itself on the same items."""

import argparse
import copy

import pandas as pd

import semprune
from semprune.data import CalibrationDataModule, dataset_spec, load_items
from semprune.evaluation import flips, predict_items, summarise
from semprune.pruning import method_labels

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--backbone", default="smollm2-135m")
parser.add_argument("--dataset", default="movie_reviews")
parser.add_argument("--limit", type=int, default=100)
parser.add_argument("--sparsity", type=float, default=0.5)
parser.add_argument("--sequences", type=int, default=16)
arguments = parser.parse_args()

lm = semprune.load_backbone(arguments.backbone)
calibration = CalibrationDataModule("c4", arguments.sequences, length=256).bind(lm)
input_ids = calibration.calibration_input_ids()  # [sequences, 256]

spec = dataset_spec(arguments.dataset)
items = load_items(arguments.dataset, limit=arguments.limit)
dense_weights = copy.deepcopy(lm.model.state_dict())
dense = predict_items(lm, items)
tables = []
for method in method_labels():
    semprune.prune_model(lm.model, input_ids, method=method, sparsity=arguments.sparsity)  # in place
    pruned = predict_items(lm, items)
    table = summarise(pruned, dense, families={spec.name: spec.family}, metrics={spec.name: spec.metrics})
    tables.append(table.assign(method=method, flipped=len(flips(dense, pruned))))
    lm.model.load_state_dict(dense_weights)

result = pd.concat(tables)
columns = ["method", "metric", "value", "difference", "difference_low", "difference_high", "p", "flipped"]
print(result[result["metric"].isin(["accuracy", "auroc"])][columns].to_string(index=False))
