"""A run folder of invented but realistic artefacts: 30 layers, 20 concepts, 6 data sets, 2 methods at 50 %."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.unit.report.ablation_rows import (
    carrier_rows,
    dose_rows,
    frontier_rows,
    gate_control_rows,
    gate_overlap_rows,
    mediation_rows,
)
from tests.unit.report.study_run import build_study

from semprune.report import load_run, write_report

HOSTILE = "<script>window.hacked = true</script>"
NEURONS_PER_CONCEPT, CONTEXTS_PER_NEURON = 12, 5
DATASETS = {
    "sst2": ("sentiment", 400, {"accuracy": 0.83, "calibrated_accuracy": 0.845, "auroc": 0.921, "macro_f1": 0.829}),
    "movie_reviews": ("sentiment", 400, {"accuracy": 0.80, "calibrated_accuracy": 0.83, "auroc": 0.911}),
    "amazon_reviews": ("sentiment", 300, {"accuracy": 0.77, "calibrated_accuracy": 0.79, "auroc": 0.872}),
    "mrpc": ("similarity", 300, {"accuracy": 0.61, "calibrated_accuracy": 0.58, "auroc": 0.602, "f1": 0.71}),
    "piqa": ("reasoning", 300, {"accuracy": 0.672, "acc_norm": 0.681}),
    "bbc_news": ("topic", 250, {"accuracy": 0.716, "calibrated_accuracy": 0.80, "macro_f1": 0.69}),
    "c4": ("language_modelling", 64, {"perplexity": 31.7}),
    "wiki": ("language_modelling", 64, {"perplexity": 24.9}),
}
DAMAGE = {  # fraction of what is above guessing (perplexity: factor) that each method loses, per family
    "magnitude": {"sentiment": 0.55, "similarity": 0.6, "reasoning": 0.45, "topic": 0.5, "language_modelling": 9.4},
    "wanda": {"sentiment": 0.24, "similarity": 0.1, "reasoning": 0.12, "topic": 0.05, "language_modelling": 2.05},
}
GUESSING = {"piqa": 0.5, "bbc_news": 0.2}
SIZES = {"calibration_sequences": 16, "calibration_length": 256}
SETTINGS = [("magnitude", 0.5, ""), ("wanda", 0.5, "c4")]
CONCEPTS = {
    "sentiment.positive": "token", "sentiment.negative": "token", "sst2.positive": "sequence",
    "sst2.negative": "sequence", "negation": "token", "numbers": "token", "question_words": "token",
    "hedging": "token", "punctuation": "token", "empath.business": "token", "empath.family": "token",
    "empath.crime": "token", "empath.music": "token", "empath.sports": "token", "empath.technology": "token",
    "empath.government": "token", "empath.weather": "token", "empath.fear": "token",
    "bbc_news.sport": "sequence", "bbc_news.business": "sequence",
}  # fmt: skip
SENTENCES = [
    ("a film so", " badly", " paced that even its stars look as if they want to go home", "movie_reviews"),
    ("the battery died after a week and the replacement was", " worse", ", avoid this seller", "amazon_reviews"),
    ("it is, against all expectation, a", " wonderful", " and quietly moving portrait of old age", "sst2"),
    ("shares in the group", " fell", " 4% after it said annual profit would miss forecasts", "bbc_news"),
    ("do", " not", " be fooled by the trailer: there is nothing else here worth the ticket", "movie_reviews"),
    ("the minister said the", " government", " would publish its reply before the summer recess", "bbc_news"),
    ("screen is bright, sound is", " crisp", ", and setting it up took less than five minutes", "amazon_reviews"),
    ("the champions won", " 3", "-1 away from home and move up to second in the table", "bbc_news"),
]


def result_rows():
    """Dense and pruned scores of every data set and metric: each method loses its share of what exceeds guessing."""
    for dataset, (family, n, metrics) in DATASETS.items():
        for metric, dense in metrics.items():
            base = {"backbone": "smollm2-135m", "dataset": dataset, "family": family, "prompt": "default",
                    "metric": metric, "n": n, "seed": 0, **SIZES, "dense": dense}  # fmt: skip
            width = dense * 0.04 if metric == "perplexity" else 1.96 * np.sqrt(dense * (1 - dense) / n)
            yield base | {"method": "dense", "pattern": "unstructured", "sparsity": 0.0, "calibration": "",
                          "value": dense, "low": dense - width, "high": dense + width, "difference": 0.0,
                          "difference_low": 0.0, "difference_high": 0.0, "p": np.nan}  # fmt: skip
            for method, sparsity, calibration in SETTINGS:
                loss = DAMAGE[method][family]
                difference = -(dense - GUESSING.get(dataset, 0.5)) * loss
                if metric == "perplexity":
                    difference, width = dense * (loss - 1), dense * loss * 0.05
                half = width * 0.75
                p = float(np.clip(2 * np.exp(-0.717 * (z := abs(difference) / (half / 1.96)) - 0.416 * z * z), 0, 1))
                yield base | {"method": method, "pattern": "unstructured", "sparsity": sparsity,
                              "calibration": calibration, "value": dense + difference,
                              "low": dense + difference - width, "high": dense + difference + width,
                              "difference": difference, "difference_low": difference - half,
                              "difference_high": difference + half, "p": p}  # fmt: skip


def semantic_loss_rows(rng, concepts, layers):
    """Loss over all layers (with intervals) and per layer; Wanda keeps more than magnitude."""
    for concept, (level, place) in concepts.items():
        hit = 0.10 if concept.startswith(("sentiment", "sst2", "negation")) else rng.uniform(-0.05, 0.06)
        for method, sparsity, calibration in SETTINGS:
            factor = 2.1 if method == "magnitude" else 1.0
            base = {"backbone": "smollm2-135m", "method": method, "pattern": "unstructured", "sparsity": sparsity,
                    "calibration": calibration, "seed": 0, **SIZES, "concept": concept, "level": level,
                    "n_documents": 600}  # fmt: skip
            for layer in range(-1, layers):
                near = 1.0 if layer < 0 else np.exp(-((layer - place) ** 2) / 40)
                excess = hit * factor * near + rng.normal(0, 0.012)
                control = 0.21 * factor
                half = rng.uniform(0.015, 0.04) if layer < 0 else np.nan
                yield base | {"layer": layer, "sl": control + excess, "sl_random": control, "xsl": excess,
                              "xsl_low": excess - half, "xsl_high": excess + half}  # fmt: skip


def neuron_frames(rng, concepts, layers):
    """Top neurons per concept, the tokens that excite them, and their activation dense and pruned."""
    neurons, contexts, activations = [], {}, []
    for concept, (level, place) in concepts.items():
        for rank in range(1, NEURONS_PER_CONCEPT + 1):
            layer, index = int(np.clip(rng.normal(place, 4), 0, layers - 1)), int(rng.integers(0, 1536))
            name = f"layers.{layer}.mlp/{index}"
            t = 42 / rank**0.5 + rng.normal(0, 1)
            kind = rng.choice(["specific", "shared", "global", "suppressor"], p=[0.5, 0.3, 0.1, 0.1])
            neurons.append({"concept": concept, "level": level, "rank": rank, "neuron": name, "layer": layer,
                            "index": index, "effect": t / 50, "t": t, "q": float(10 ** (-t / 2)),
                            "specificity": rng.uniform(0.1, 0.9), "neuron_class": kind})  # fmt: skip
            contexts[name] = [
                {"neuron": name, "rank": place_in_list + 1, "before": before, "token": token, "after": after,
                 "dataset": dataset, "document_id": f"{dataset}-{place_in_list}", "activation": 6 - place_in_list / 3}
                for place_in_list, (before, token, after, dataset) in enumerate(
                    SENTENCES[i] for i in rng.permutation(len(SENTENCES))[:CONTEXTS_PER_NEURON])
            ]  # fmt: skip
            dense = rng.lognormal(-1, 0.8)
            for method, sparsity, calibration in SETTINGS:
                kept = rng.uniform(0.05, 0.5) if method == "magnitude" else rng.uniform(0.3, 1.0)
                activations.append({"neuron": name, "concept": concept, "method": method, "pattern": "unstructured",
                                    "sparsity": sparsity, "calibration": calibration, "seed": 0, **SIZES,
                                    "dense": dense,
                                    "pruned": dense * kept, "kept_in": 0.5 + kept / 3,
                                    "kept_out": 0.45 + kept / 3})  # fmt: skip
    first = neurons[0]["neuron"]
    contexts[first][0] |= {"before": f"{HOSTILE} & so", "token": "<b>", "after": '"quoted" \u202e\x00 end'}
    contexts[first][1] |= {"before": "end of a line", "token": "\n", "after": "start of the next"}
    return (
        pd.DataFrame(neurons),
        pd.DataFrame([row for rows in contexts.values() for row in rows]),
        pd.DataFrame(activations),
    )


def word_rows(neurons):
    """Three words of each token-level concept at its first neuron; one of them wants to be a script."""
    own = neurons[(neurons["level"] == "token") & (neurons["rank"] == 1)]
    for concept, neuron in zip(own["concept"], own["neuron"], strict=True):
        for word, n, dense in (("badly", 31, 0.2112), (HOSTILE, 12, 0.15), ("worse", 54, 0.31)):
            for method, sparsity, calibration in SETTINGS:
                pruned = dense * (0.04 if method == "magnitude" else 0.5)
                yield {"concept": concept, "word": word, "neuron": neuron, "n": n, "method": method,
                       "pattern": "unstructured", "sparsity": sparsity, "calibration": calibration, "seed": 0, **SIZES,
                       "dense": dense, "pruned": pruned}  # fmt: skip


def sparsity_rows(layers):
    """Every down-projection at exactly the sparsity asked for."""
    for method, sparsity, calibration in SETTINGS:
        for layer in range(layers):
            yield {"method": method, "pattern": "unstructured", "sparsity": sparsity, "calibration": calibration,
                   "seed": 0, **SIZES, "matrix": f"model.layers.{layer}.mlp.down_proj", "layer": layer, "role": "down",
                   "measured": sparsity}  # fmt: skip


def concept_rows(rng, concepts):
    """How well each concept is read back: sets of neurons well, single neurons weakly."""
    for concept, (level, _) in concepts.items():
        prevalence = rng.uniform(0.002, 0.05)
        yield {"concept": concept, "level": level, "prevalence": prevalence, "ap_set": min(prevalence * 20, 0.7),
               "ap_neuron": prevalence * 6, "discoveries": int(rng.integers(40, 900)),
               "n_positive": int(prevalence * 35000), "n": 35000}  # fmt: skip


def layer_rows(rng, concepts, layers):
    """Association that peaks at one depth per concept."""
    for concept, (level, place) in concepts.items():
        for layer in range(layers):
            near = float(np.exp(-((layer - place) ** 2) / 30))
            yield {"concept": concept, "level": level, "layer": layer, "strength": 12 * near * rng.lognormal(0, 0.3),
                   "discoveries": int(40 * near)}  # fmt: skip


def causal_rows():
    """What ablating 1 % of the neurons does to movie reviews and to perplexity."""
    scores = {"dense": (0.911, 53.2), "association": (0.815, 57.4), "matched_random": (0.908, 58.9),
              "random": (0.918, 54.1), "mean_activation": (0.631, 4868.0)}  # fmt: skip
    for selection, values in scores.items():
        for metric, value, dense, half in zip(
            ("auroc", "perplexity"), values, scores["dense"], (0.024, values[1] * 0.03), strict=True
        ):
            excess = value - (0.908 if metric == "auroc" else 58.9)
            yield {"target": "sentiment", "dataset": "movie_reviews", "selection": selection, "share": 0.01, "k": 460,
                   "draws": 5 if "random" in selection else 1, "metric": metric, "value": value, "low": value - half,
                   "high": value + half, "n": 400, "difference": value - dense, "excess": excess,
                   "excess_low": excess - half, "excess_high": excess + half, "excess_p": 0.004,
                   "p": np.nan if selection == "dense" else 0.0005 if abs(value - dense) > half else 0.6}  # fmt: skip


def patched_cells():
    """The pruned models whose activations are patched; magnitude is taken as if it had lost nothing."""
    for method, sparsity, calibration in SETTINGS:
        yield {"backbone": "smollm2-135m", "method": method, "pattern": "unstructured", "sparsity": sparsity,
               "calibration": calibration, "seed": 0, **SIZES}  # fmt: skip


def further_loss_rows(concepts):
    """Readout loss (half of it moved), causal loss and the neurons behind it; Wanda loses half as much."""
    readout, causal, neurons = [], [], []
    for place, (concept, (level, _)) in enumerate(concepts.items()):
        for method, sparsity, calibration in SETTINGS:
            loss = 0.02 * (place + 1) / (1 if method == "magnitude" else 2)
            base = {"backbone": "smollm2-135m", "method": method, "pattern": "unstructured", "sparsity": sparsity,
                    "calibration": calibration, "seed": 0, **SIZES, "concept": concept}  # fmt: skip
            row = {"ap_dense": 0.5, "ap_pruned": 0.5 - loss, "n_documents": 600}
            for name, value in (("loss_frozen", loss), ("loss_refit", loss / 2), ("moved", loss / 2)):
                row |= {name: value, f"{name}_low": value - 0.01, f"{name}_high": value + 0.01}
            readout.append(base | {"level": level} | row)
            for layer in (-1, 0):
                causal.append(base | {"level": level, "layer": layer, "change": loss, "change_low": loss - 0.001,
                                      "change_high": loss + 0.001, "own_change": loss / 4, "own_low": 0.0,
                                      "own_high": loss / 2, "n_tokens": 1234})  # fmt: skip
            neurons += [base | {"neuron": f"layers.1.mlp/{i}", "layer": 1, "change": (-1) ** i * loss * i / 10}
                        for i in range(5)]  # fmt: skip
    return {"readout_loss": readout, "causal_loss": causal, "causal_neurons": neurons}


def prediction_rows():
    """Two items of one data set, dense and pruned."""
    for method, sparsity, calibration in [("dense", 0.0, ""), *SETTINGS]:
        for item in ("7", "8"):
            yield {"backbone": "smollm2-135m", "method": method, "pattern": "unstructured", "sparsity": sparsity,
                   "calibration": calibration, "seed": 0, **SIZES, "dataset": "sst2", "prompt": "default",
                   "item_id": item, "document_id": item, "label": 1, "prediction": 1,
                   "scores": [-2.0, -1.0]}  # fmt: skip


PROVENANCE = {
    "semprune": "0.1.0", "command": "semprune study --config configs/study/quickstart.yaml",
    "started": "2026-11-24T06:02:11+00:00", "finished": "2026-11-24T06:10:43+00:00",
    "backbone": {"name": "smollm2-135m", "fingerprint": "LlamaForCausalLM@0.1.2:0123456789ab", "dtype": "bfloat16"},
    "data": {name: {"hash": f"{place:02x}" * 32, "n": row[1]} for place, (name, row) in enumerate(DATASETS.items())},
    "calibration": {"c4": "c4" * 32},
    "versions": {"torch": "2.13.0", "transformers": "5.23.0", "lightning": "2.6.6", "python": "3.11.7"},
    "settings": {"sequences": 64, "length": 512, "selection": "exact", "datasets": ["sst2", "piqa"]},
    "licences": {"smollm2-135m": "Apache-2.0", "sst2": "research use", "c4": "ODC-BY"},
    "wall_seconds": 512.4, "peak_memory_bytes": 3_210_000_000,
}  # fmt: skip


def build_run(folder: Path, names=tuple(CONCEPTS), layers=30) -> Path:
    """Write every artefact of a run into a folder; the same bytes each time."""
    rng = np.random.default_rng(0)
    concepts = {name: (CONCEPTS[name], rng.uniform(2, layers - 2)) for name in names}
    neurons, contexts, activations = neuron_frames(rng, concepts, layers)
    frames = {
        "results": list(result_rows()),
        "sparsity": list(sparsity_rows(layers)),
        "semantic_loss": list(semantic_loss_rows(rng, concepts, layers)),
        "concepts": list(concept_rows(rng, concepts)),
        "layer_concept": list(layer_rows(rng, concepts, layers)),
        "neurons": neurons,
        "contexts": contexts,
        "neuron_activations": activations,
        "word_activations": list(word_rows(neurons)),
        "causal": list(causal_rows()),
        "frontier": list(frontier_rows()),
        "frontier_doses": list(dose_rows()),
        "carriers": list(carrier_rows()),
        "gate_controls": list(gate_control_rows()),
        "gate_overlap": list(gate_overlap_rows()),
        "mediation": [row for cell in patched_cells() for row in mediation_rows(cell, lost=cell["method"] == "wanda")],
        **further_loss_rows(concepts),
        "predictions": list(prediction_rows()),
        "task_concepts": [{"dataset": "sst2", "concept": "sentiment.negative", "level": "token", "weight": 1.0}],
        "calibration": [
            {"calibration": "c4", "seed": 0, **SIZES, "dataset": "", "measure": "distinct_2", "value": 0.9}
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in frames.items():
        pd.DataFrame(rows).to_parquet(folder / f"{name}.parquet", index=False)
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def built_run(tmp_path_factory):
    """A run that no test changes."""
    return build_run(tmp_path_factory.mktemp("built") / "run")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A quickly rendered run with the same results, 4 concepts and 6 layers, that no test changes."""
    return build_run(tmp_path_factory.mktemp("small") / "run", tuple(CONCEPTS)[:4], layers=6)


@pytest.fixture
def run_dir(small_run, tmp_path):
    """A small run of the test's own, to change at will."""
    return Path(shutil.copytree(small_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def hostile():
    """The text of a data set that wants to be a script."""
    return HOSTILE


@pytest.fixture
def edit(run_dir):
    """Replace a parquet artefact by what a function makes of it."""

    def replace(name, function):
        path = run_dir / f"{name}.parquet"
        function(pd.read_parquet(path)).to_parquet(path, index=False)
        return run_dir

    return replace


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory):
    """A study of three calibration sets with known answers, that no test changes."""
    return build_study(tmp_path_factory.mktemp("study") / "run")


@pytest.fixture(scope="session")
def study_run(study_folder):
    """The study, read and analysed once."""
    return load_run(study_folder)


@pytest.fixture(scope="session")
def study_page(study_run):
    """The study's page."""
    return write_report(study_run).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(built_run):
    """The whole run's page."""
    return write_report(built_run).read_text(encoding="utf-8")
