"""What the fit costs over the frozen model's bare forward, and beside probes of other packages on the same activations.

On a CPU processor time of one thread, on a GPU wall-clock time with the card idle before and after; sides interleaved;
every ratio is of a pair of runs, the median with the lowest and highest.
The second part gives the peers the activations for nothing and times only the fit; NeuroX is compared where it is
installed (`pip install --no-deps neurox imbalanced-learn sklearn-compat`; its pinned dependencies are of 2021).

    python benchmarks/attribution_cost.py --tokens 8192 --concepts 100
    python benchmarks/attribution_cost.py --device cuda --tokens 65536 --batch 128 --peer-layers 0
    python benchmarks/attribution_cost.py --profile
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semprune import load_backbone
from semprune.attribution.fit.average_precision import ConceptAveragePrecision
from semprune.attribution.fit.encoding import EncodingSums, independent_t, solve
from semprune.attribution.fit.learner import AttributionLearner, LearnerShape, forward_sites
from semprune.attribution.fit.preparation import prepare
from semprune.backbones import Backbone
from semprune.backbones.hardware import fast_fp32
from semprune.data import CalibrationDataModule
from semprune.types import DocumentBatch

RIDGE = 1e-4
READ = 32  # neurons that a concept is read from


class TypeLabels:
    """Concepts made of token types: every one of a random share of the types that occur."""

    def __init__(self, ids: Tensor, vocabulary: int, concepts: int) -> None:
        """Draw them, so that each occurs at about a thirtieth of the tokens."""
        random = torch.Generator().manual_seed(0)
        types = ids.unique().cpu()
        table = torch.zeros(vocabulary, concepts, dtype=torch.bool)
        table[types] = torch.rand(len(types), concepts, generator=random) < 1 / 30
        self.table = table.to(ids.device)

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Label a batch."""
        return self.table[ids] & mask.bool()[..., None]


@fast_fp32()  # as in every command
def main() -> None:
    """Time, measure memory, compare with peers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--concepts", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="where the time of one pass goes, and nothing else")
    parser.add_argument("--peer-layers", type=int, default=4, help="layers whose neurons the peers see; 0: no peers")
    parser.add_argument("--peer-concepts", type=int, default=10)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for dtype in asked.dtype:
        lm = load_backbone(asked.backbone, dtype=dtype, device=asked.device)
        batches, labels = corpus(lm, asked)
        learner = prepared(lm, batches, labels, asked.concepts)
        if asked.profile:
            profile(partial(accumulate, learner, lm, batches[:1], labels))
            continue
        compare_forward(lm, learner, batches, labels, asked)
    if asked.peer_layers and not asked.profile:
        compare_peers(lm, batches, labels, asked)


def corpus(lm: Backbone, asked: argparse.Namespace) -> tuple[list[DocumentBatch], TypeLabels]:
    """Batches of c4 and labels of their types."""
    data = CalibrationDataModule("c4", asked.tokens // asked.length, asked.length).bind(lm)
    ids = data.calibration_input_ids().to(lm.device)
    return batches_of(ids, asked.batch), TypeLabels(ids, lm.model.get_input_embeddings().num_embeddings, asked.concepts)


def batches_of(ids: Tensor, size: int) -> list[DocumentBatch]:
    """Every sequence a document of its own, without a label."""
    batches = []
    for rows in torch.arange(len(ids), device=ids.device).split(size):
        zero = torch.zeros_like(rows)
        batches.append(DocumentBatch(ids[rows], torch.ones_like(ids[rows]), rows, zero, zero - 1, rows))
    return batches


def prepared(lm: Backbone, batches: Sequence[DocumentBatch], labels: TypeLabels, concepts: int) -> AttributionLearner:
    """A learner with its standardisation."""
    names = tuple(f"concept.{k}" for k in range(concepts))
    shape = LearnerShape(names, (), ("c4",), batches[0].input_ids.shape[1], labels.table.shape[0])
    learner = AttributionLearner(shape, lm.sites, RIDGE, READ).to(lm.device)
    prepare(learner, lm, labels, lambda: batches, 1024)
    return learner


def forward(lm: Backbone, batches: Sequence[DocumentBatch]) -> None:
    """The bare frozen body: what no method can do without."""
    with torch.no_grad():
        for batch in batches:
            lm.model.base_model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False)


def accumulate(learner: AttributionLearner, lm: Backbone, batches: Sequence[DocumentBatch], labels: TypeLabels) -> None:
    """One pass: labels, forward, sums."""
    with torch.no_grad():
        for batch in batches:
            learner.accumulate(lm, learner.labelled(batch, labels))


def add_variances(
    learner: AttributionLearner, lm: Backbone, batches: Sequence[DocumentBatch], labels: TypeLabels
) -> None:
    """The other pass: labels, forward, clustered variances; after the sums are finished."""
    with torch.no_grad():
        for batch in batches:
            learner.batch_statistics(lm, learner.labelled(batch, labels), variance=True)


def seconds(run: Callable[[], Any], device: torch.device) -> float:
    """Processor time of a call; on a GPU wall-clock time until its work is done."""
    if device.type == "cpu":
        start = time.process_time()
        run()
        return time.process_time() - start
    torch.accelerator.synchronize()
    start = time.perf_counter()
    run()
    torch.accelerator.synchronize()
    return time.perf_counter() - start


def ratio(pairs: Sequence[tuple[float, float]]) -> str:
    """Median, lowest and highest ratio of pairs.

    Example:
        >>> ratio([(2.0, 1.0), (3.0, 1.0), (9.0, 3.0)])
        '3.00 (2.00 to 3.00)'
    """
    each = [one / other for one, other in pairs]
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def compare_forward(
    lm: Backbone, learner: AttributionLearner, batches: list[DocumentBatch], labels: TypeLabels,
    asked: argparse.Namespace,
) -> None:  # fmt: skip
    """Print the fit's passes over the bare forward, and peak memory."""
    bare, fitting = partial(forward, lm, batches), partial(accumulate, learner, lm, batches, labels)
    forward(lm, batches[:1])
    before = peak_bytes(lm.device)
    accumulate(learner, lm, batches[:1], labels)  # kernels are compiled before they are timed
    sums, variances = [], []
    for _ in range(asked.repeats):
        sums.append((seconds(fitting, lm.device), seconds(bare, lm.device)))
    solving = seconds(learner.finish_sums, lm.device)

    study = partial(add_variances, learner, lm, batches, labels)
    add_variances(learner, lm, batches[:1], labels)
    for _ in range(asked.repeats):
        variances.append((seconds(study, lm.device), seconds(bare, lm.device)))
    forwards = [each for _, each in (*sums, *variances)]
    print(f"{asked.backbone}, {lm.dtype}, {place(lm.device)}, {asked.tokens:,} tokens, {asked.concepts} concepts")
    print(f"  bare forward: {asked.tokens / statistics.median(forwards):,.0f} tokens/s")
    print(f"  pass of the sums over one bare forward: {ratio(sums)}; solved once in {solving:.2f} s")
    print(f"  pass of the clustered variances over one bare forward: {ratio(variances)}")
    both = [tuple(map(sum, zip(*passes, strict=True))) for passes in zip(sums, variances, strict=True)]
    print(f"  the fit, both passes, over two bare forwards: {ratio(both)}")
    after = peak_bytes(lm.device)
    print(f"  peak memory of the forward {before / 2**20:,.0f} MiB, of everything {after / 2**20:,.0f} MiB")


def place(device: torch.device) -> str:
    """What the timing holds for."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "1 thread"


def peak_bytes(device: torch.device) -> int:
    """Largest memory so far: on a GPU allocated there, else resident of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def profile(run: Callable[[], None]) -> None:
    """Print what one pass spends its time in."""
    with cProfile.Profile() as profiler:
        run()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(14)


def activations_of(lm: Backbone, batches: Sequence[DocumentBatch], layers: int) -> np.ndarray:
    """Standardised activations of the last layers' neurons at all tokens but the first of each text."""
    each: list[Tensor] = []
    sites = lm.sites[-layers:]
    for batch in batches:
        own: list[Tensor] = []
        forward_sites(lm, sites, batch, lambda _, h, own=own: own.append(h[:, 1:].float().flatten(0, 1)))
        each.append(torch.cat(own, 1))
    whole = torch.cat(each)
    return ((whole - whole.mean(0)) / whole.std(0).clamp(min=1e-6)).clamp(-6, 6).numpy()


def encode_fit(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Ours: the closed form of all concepts at once; weights of each concept's surest neurons, 0 elsewhere."""
    prevalence = labels.mean(0)
    regressors = np.c_[(labels - prevalence) / np.sqrt(prevalence * (1 - prevalence)), np.ones(len(labels))]
    sums = EncodingSums.of(torch.from_numpy(regressors).float(), torch.from_numpy(values))
    coefficients, concepts = solve(sums, RIDGE), labels.shape[1]
    t = independent_t(sums, coefficients, RIDGE, concepts)
    kept = torch.zeros_like(t).scatter_(0, t.abs().topk(READ, dim=0).indices, 1.0)
    return (coefficients[:concepts].T * kept).numpy()


def sklearn_fit(name: str, values: np.ndarray, labels: np.ndarray, **settings: Any) -> np.ndarray:
    """A scikit-learn classifier for each concept."""
    make = getattr(import_module("sklearn.linear_model"), name)
    return np.stack([make(**settings).fit(values, own).coef_[0] for own in labels.T], axis=1)


def neurox_fit(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """NeuroX's logistic regression probe with its elastic net, as its paper sets it, for each concept."""
    probe = import_module("neurox.interpretation.linear_probe")
    columns = []
    for own in labels.T:
        fitted = probe.train_logistic_regression_probe(values, own.astype(int), lambda_l1=1e-5, lambda_l2=1e-5)
        weight = next(fitted.parameters()).detach().cpu().numpy()
        columns.append(weight[1] - weight[0])
    return np.stack(columns, axis=1)


def precision(values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Mean average precision of reading concepts by linear weights."""
    metric = ConceptAveragePrecision()
    metric.update(torch.from_numpy(values @ weights), torch.from_numpy(labels.astype(np.int64)))
    return float(metric.compute().nanmean())


def surest(weights: np.ndarray, k: int = READ) -> np.ndarray:
    """Only the ``k`` largest |weights| of each concept: a neuron ranking read as ours is.

    Example:
        >>> surest(np.array([[3.0], [-4.0], [1.0]]), 2).tolist()
        [[3.0], [-4.0], [0.0]]
    """
    least = np.sort(np.abs(weights), axis=0)[-k]
    return np.where(np.abs(weights) >= least, weights, 0.0)


def compare_peers(lm: Backbone, batches: list[DocumentBatch], labels: TypeLabels, asked: argparse.Namespace) -> None:
    """Print speed and held-out average precision on the same activations, in memory for all."""
    values = activations_of(lm, batches, asked.peer_layers)
    ids = torch.cat([batch.input_ids[:, 1:].flatten() for batch in batches])
    truth = labels.table[ids][:, : asked.peer_concepts].numpy().astype(np.float64)
    middle = len(values) // 2
    peers: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "scikit-learn LogisticRegression": lambda x, y: sklearn_fit("LogisticRegression", x, y, C=0.01, max_iter=200),
        "scikit-learn SGDClassifier, elastic net": lambda x, y: sklearn_fit(
            "SGDClassifier", x, y, loss="log_loss", penalty="elasticnet", alpha=1e-3, random_state=0
        ),
    }
    if find_spec("neurox") is not None:
        peers["NeuroX, elastic net"] = neurox_fit
    found: dict[str, tuple[float, np.ndarray]] = {}
    for name, run in {"semprune": encode_fit, **peers}.items():
        start = time.process_time()
        weights = run(values[:middle], truth[:middle])
        found[name] = (time.process_time() - start, weights)
    own = found["semprune"][0]
    print(f"{middle:,} tokens, {values.shape[1]:,} neurons, {asked.peer_concepts} concepts; held out: as many tokens")
    print("| | processor s | over ours | AP, all weights | AP, 32 neurons |\n|---|--:|--:|--:|--:|")
    for name, (seconds, weights) in found.items():
        ap = [precision(values[middle:], truth[middle:], kept) for kept in (weights, surest(weights))]
        print(f"| {name} | {seconds:.2f} | {seconds / own:.1f} | {ap[0]:.3f} | {ap[1]:.3f} |")


if __name__ == "__main__":
    main()
