"""A run folder of a planted study: the grid of the analysis' tests, with losses, own concepts and likeness."""

from pathlib import Path

import numpy as np
import pandas as pd
from tests.unit.analysis.planted_grid import study

CONCEPTS = {"sentiment.negative": "sentiment", "numbers": "reasoning", "<b>evil</b>": "reasoning"}
KEYS = ["backbone", "method", "pattern", "sparsity", "calibration", "calibration_sequences", "calibration_length",
        "seed", "calibrated"]  # fmt: skip


def build_study(folder: Path) -> Path:
    """Write the tables of the planted study: the semantic loss of a family's concept is its drop, AUROC is accuracy."""
    tables = study()
    results = completed(tables["results"])
    models = results.loc[results["method"] != "dense", KEYS].drop_duplicates().reset_index(drop=True)
    tables |= {
        "results": results,
        "sparsity": pd.concat([sparsity(models, matrix) for matrix in ("q", "k")], ignore_index=True),
        "semantic_loss": losses(models, results),
        "neuron_activations": activations(models),
        "task_concepts": own_concepts(results),
        "calibration": likeness(models, results),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def completed(results):
    """Rows of accuracy and perplexity with intervals; AUROC of the two sentiment data sets beside them."""
    auroc = results[(results["metric"] == "accuracy") & (results["family"] == "sentiment")].assign(metric="auroc")
    table = pd.concat([results, auroc], ignore_index=True)
    half = np.where(table["metric"] == "perplexity", 1.0, 0.02)
    for name in ("value", "difference"):
        ends = ("low", "high") if name == "value" else ("difference_low", "difference_high")
        table[ends[0]], table[ends[1]] = table[name] - half, table[name] + half
    return table.assign(n=400, p=0.01)


def sparsity(models, matrix):
    """Measured sparsity of a matrix, and the Wanda mass that it lost."""
    return models.assign(
        matrix=matrix, layer=0, role="attention", measured=models["sparsity"], mass_lost=models["sparsity"] ** 2
    )


def losses(models, results):
    """Excess loss of each concept: the drop of its family's first data set."""
    first = {"sentiment": "sst2", "reasoning": "piqa"}
    drops = results[results["metric"] == "accuracy"].set_index([*KEYS, "dataset"])["difference"]
    rows = []
    for row in models.to_dict("records"):
        for place, (concept, family) in enumerate(CONCEPTS.items()):
            excess = -drops[(*(row[key] for key in KEYS), first[family])] / (1 + place)
            for layer in (-1, 0, 1):
                rows.append(row | {"concept": concept, "level": "token", "layer": layer, "n_documents": 90,
                                   "sl": excess + 0.2, "sl_random": 0.2, "xsl": excess, "xsl_low": excess - 0.01,
                                   "xsl_high": excess + 0.01, "wsl": 0.1 + place / 100})  # fmt: skip
    return pd.DataFrame(rows)


def activations(models):
    """Two neurons of each concept; the second keeps half as much of its activation as the first."""
    rows = []
    for row in models.to_dict("records"):
        for concept in CONCEPTS:
            rows += [row | {"neuron": f"layers.0.mlp/{place}", "concept": concept, "dense": 2.0,
                            "pruned": 2 * kept, "kept_in": 0.5, "kept_out": 0.5}
                     for place, kept in enumerate((0.5, 0.25))]  # fmt: skip
    return pd.DataFrame(rows)


def own_concepts(results):
    """One concept of each data set's family."""
    pairs = results.loc[results["metric"] == "accuracy", ["dataset", "family"]].drop_duplicates()
    named = {family: concept for concept, family in reversed(CONCEPTS.items())}
    return pairs.assign(concept=pairs["family"].map(named), level="token", weight=1.0).drop(columns="family")


def likeness(models, results):
    """Diversity of each draw, and a likeness that is 1 for own prompts and else 0.5."""
    draws = models.loc[models["calibrated"], KEYS[4:8]].drop_duplicates()
    pairs = results.loc[results["metric"] == "accuracy", ["dataset", "family"]].drop_duplicates()
    alike = draws.merge(pairs, how="cross")
    own = alike["calibration"] == alike["family"] + "_prompts"
    alike = alike.assign(measure="minilm_cosine", value=np.where(own, 1.0, 0.5)).drop(columns="family")
    diverse = draws.assign(dataset="", measure="distinct_2", value=0.3 + 0.1 * (draws["calibration"] == "good_set"))
    return pd.concat([alike, diverse], ignore_index=True)
