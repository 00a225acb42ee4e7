"""Declare a data set of your own in one YAML, and score a model on it."""

import argparse
import json
import os
from pathlib import Path

import yaml

import semprune
from semprune.data import load_documents, load_items

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--backbone", default="smollm2-135m")
parser.add_argument("--folder", type=Path, default=Path("runs/own"))
arguments = parser.parse_args()

ROWS = [
    ("Bitter, burnt, and cold when it came.", 1),
    ("The best espresso of the town.", 5),
    ("Friendly people and fresh cake.", 4),
    ("We waited for an hour and left.", 2),
    ("Fresh beans, roasted with care.", 5),
    ("The milk was sour, and nobody cared.", 1),
]
arguments.folder.mkdir(parents=True, exist_ok=True)
data = (arguments.folder / "coffee.jsonl").resolve()
data.write_text("\n".join(json.dumps({"id": str(n), "text": t, "stars": s}) for n, (t, s) in enumerate(ROWS)))
declaration = {
    "name": "coffee",
    "family": "sentiment",
    "about": "Reviews of cafés with one to five stars.",
    "licence": "ours",
    "hub": {"path": "json", "data_files": str(data), "split": "train"},
    "columns": ["id", "text", "stars"],
    "text": ["text"],
    "id": "id",
    "derive": {"rating": "stars - 3"},
    "labels": {"column": "rating", "sign_minimum": 1, "classes": ["negative", "positive"]},
    "prompts": [{"name": "review", "context": "Review: {text}\nSentiment:", "choices": [" negative", " positive"]}],
    "metrics": ["accuracy", "auroc"],
    "reserve": 0.3,  # share of documents for fitting, never evaluated
}
(arguments.folder / "coffee.yaml").write_text(yaml.safe_dump(declaration, sort_keys=False))

os.environ["SEMPRUNE_REGISTRY"] = str(arguments.folder)
items = load_items("coffee")
print(f"{len(items)} items, {len(load_documents('coffee'))} documents reserved; the first item:")
print(repr(items[0].requests[items[0].label]))
table = semprune.evaluate(semprune.load_backbone(arguments.backbone), ["coffee"])
print(table[["dataset", "metric", "value", "low", "high", "n"]].to_string(index=False))
