"""Small runs of invented answers, whose tables the evaluation makes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semprune.evaluation.results.retained import retained_table
from semprune.evaluation.results.summarise import summarise

FAMILIES = {"sst2": "sentiment", "movie_reviews": "sentiment", "piqa": "reasoning"}
METRICS = {"sst2": ["accuracy", "auroc"], "movie_reviews": ["accuracy", "auroc"], "piqa": ["accuracy", "acc_norm"]}
ITEMS = 60
CELL = {"backbone": "tiny", "pattern": "unstructured", "seed": 0}
DENSE = {"method": "dense", "sparsity": 0.0, "calibration": "", "calibration_sequences": 0, "calibration_length": 0,
         "calibrated": False}  # fmt: skip
DRAWN = {"calibration": "c4", "calibration_sequences": 8, "calibration_length": 64, "calibrated": True}
SETTINGS = {"fit": {"limit": 9}, "output": "here", "text": {"calibration": "wiki", "length": 8, "sequences": 6}}


def answers(noise, seed, items=ITEMS, first=0):
    """Scores of two choices, the right one 1 nat above the other; two items of each document."""
    rng = np.random.default_rng(seed)
    rows = []
    for dataset in FAMILIES:
        for item in range(first, first + items):
            label = (item * 7 % 3) % 2
            scores = np.where(np.arange(2) == label, 1.0, 0.0) + noise * rng.normal(size=2)
            rows.append({"dataset": dataset, "prompt": "ask", "item_id": f"{item:03d}", "document_id": str(item // 2),
                         "label": label, "prediction": int(scores.argmax()), "scores": scores.tolist(),
                         "lengths": [4, 8]})  # fmt: skip
    return pd.DataFrame(rows)


def text_rows(cell, seed):
    """Six sequences of text; each run's are noise about its own mean."""
    values = np.random.default_rng(seed).uniform(0.1, 1.0, size=(6, 3))
    sequences = pd.DataFrame(values, columns=["kl", "same_top", "nll"]).assign(
        dataset="wiki", sequence=range(6), **cell
    )
    measures = [{"dataset": "wiki", "family": "language_modelling", "prompt": "", "measure": name, "n": 42,
                 "value": values[:, place].mean(), "low": 0.0, "high": 1.0, "floor": 0.0, **cell}
                for place, name in enumerate(("kl", "same_top", "log_perplexity"))]  # fmt: skip
    return sequences, pd.DataFrame(measures)


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Writes a run: the dense model's answers, and those of each pruned model by how it was pruned."""

    def make(name, pruned, dense=None, settings=SETTINGS):
        folder = tmp_path_factory.mktemp("compared") / name
        folder.mkdir()
        whole = answers(0.4, 0) if dense is None else dense
        tables = {"results": [], "predictions": [whole.assign(**CELL, **DENSE)], "retained": [], "fidelity": [],
                  "text_fidelity": []}  # fmt: skip
        of = {"families": FAMILIES, "metrics": METRICS}
        tables["results"].append(summarise(whole, **of, resamples=20).assign(**CELL, **DENSE))
        for place, (how, given) in enumerate(pruned.items()):
            method, sparsity = how if isinstance(how, tuple) else (how, 0.5)
            cell = {**CELL, **DRAWN, "method": method, "sparsity": sparsity}
            tables["predictions"].append(given.assign(**cell))
            tables["results"].append(summarise(given, whole, **of, resamples=20).assign(**cell))
            tables["retained"].append(retained_table(whole, given, **of).assign(**cell))
            sequences, measures = text_rows(cell, len(name) + place)
            tables["text_fidelity"].append(sequences)
            tables["fidelity"].append(measures)
        for table, parts in tables.items():
            pd.concat(parts, ignore_index=True).to_parquet(folder / f"{table}.parquet", index=False)
        provenance = {"settings": settings, "backbone": {"name": "tiny", "fingerprint": "tiny"}, "semprune": "0.1.0"}
        (folder / "provenance.json").write_text(json.dumps(provenance))
        return folder

    return make


@pytest.fixture(scope="session")
def weak():
    return answers(4.0, 1)


@pytest.fixture(scope="session")
def strong():
    return answers(0.5, 2)


@pytest.fixture(scope="session")
def runs(make_run, weak, strong):
    """Two runs of one setting, that no test changes."""
    return make_run("a", {"wanda": weak}), make_run("bb", {"wanda": strong})


@pytest.fixture
def own_runs(runs, tmp_path):
    """The same, to change at will."""
    return [Path(shutil.copytree(run, tmp_path / run.name)) for run in runs]
