"""What TensorBoard shows of a fit: heatmap, curves, neurons in concept space, example tokens, discoveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from torch import Tensor

from semprune.attribution.ablation.neuron_sets import DRAWN_SETS
from semprune.attribution.association.association import Association
from semprune.attribution.fit.average_precision import PrecisionRecall
from semprune.attribution.fit.learner import AttributionLearner
from semprune.attribution.neurons.max_activating import MaxActivatingTokens
from semprune.io.safe_text import markdown_cell

PROJECTED = 4096  # neurons in the projector: what a browser turns smoothly


def layer_strength(association: Association) -> Float[Tensor, "layers concepts"]:
    """Summed gated |effect| of each layer and concept."""
    strength = association.matrix.abs() * association.gate
    layers = int(association.layer.max()) + 1
    out = torch.zeros(layers, strength.shape[1])
    return out.index_add_(0, association.layer, strength)


def layer_shares(
    scores: Float[Tensor, "neurons concepts"], layers: Tensor, share: float
) -> Float[Tensor, "layers concepts"]:
    """Share of each concept's closed gates in each layer; 0 where none were learned.

    Example:
        >>> scores = torch.tensor([[3.0, torch.nan], [2.0, torch.nan], [0.0, torch.nan], [1.0, torch.nan]])
        >>> layer_shares(scores, torch.tensor([0, 0, 1, 1]), 0.75).double().round(decimals=2).tolist()
        [[0.67, 0.0], [0.33, 0.0]]
    """
    k = max(1, int(share * len(scores)))
    closed = torch.zeros_like(scores).scatter_(0, scores.nan_to_num(-1).topk(k, dim=0).indices, 1 / k)
    closed[:, scores.isnan().any(0)] = 0
    return torch.zeros(int(layers.max()) + 1, scores.shape[1]).index_add_(0, layers, closed)


def layer_concept_figure(values: Float[Tensor, "layers concepts"], concepts: tuple[str, ...], title: str) -> Figure:
    """Heatmap of concepts (their names are read upright) by layers, each scaled to its own maximum."""
    layers = len(values)
    figure = Figure(figsize=(5 + 0.2 * layers, 1.8 + 0.28 * len(concepts)), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    scaled = values / values.amax(0, keepdim=True).clamp(min=1e-12)
    image = axes.imshow(scaled.T.numpy(), aspect="auto", cmap="viridis", vmin=0, vmax=1)
    axes.set_yticks(range(len(concepts)), concepts)
    axes.set_xticks(range(0, layers, 1 + layers // 20))
    axes.set_xlabel("layer")
    axes.set_title(title)
    figure.colorbar(image, label="share of the concept's maximum")
    return figure


def frontier_figure(points: pd.DataFrame, loss: str = "auroc_lost", cost: str = "kl_general") -> Figure:
    """What ablation costs the task against what it costs other text: a line per set of neurons, a mark per size.

    Args:
        points: Of :func:`semprune.attribution.ablation.frontier.frontier_points`.
        loss: Measure of the task, upwards.
        cost: Measure of other text, to the right.
    """
    figure = Figure(figsize=(7, 5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for name, own in points.groupby("selection", sort=False):
        wide = own.pivot_table(index="share", columns="measure", values="value", dropna=False)
        line = "--" if name in DRAWN_SETS else "-"
        axes.plot(wide[cost], wide[loss], line, marker="o", label=str(name).replace("_", " "))
    axes.set_xscale("symlog", linthresh=1e-3)  # a set of few neurons may cost nothing
    axes.set_xlabel(cost.replace("_", " ") + ", nats per token")
    axes.set_ylabel(loss.replace("_", " "))
    axes.legend(fontsize="small")
    return figure


def projected(association: Association) -> tuple[Float[Tensor, "shown concepts"], list[list[str]]]:
    """Coordinates and labels of the neurons with discoveries, strongest first.

    Returns:
        Effects, each concept's scaled to unit root mean square over the shown neurons; and for each neuron its name,
        layer, class and strongest concept.
    """
    gated = association.matrix.abs() * association.gate
    shown = gated.amax(1).topk(min(PROJECTED, len(gated))).indices
    shown = shown[gated[shown].amax(1) > 0]
    effects = association.matrix[shown]
    scaled = effects / effects.square().mean(0).sqrt().clamp(min=1e-12)
    names, classes, layer = association.neurons, association.class_names(), association.layer.tolist()
    strongest = [association.concepts[c] for c in gated[shown].argmax(1).tolist()]
    labels = [
        [names[row], str(layer[row]), classes[row], concept]
        for row, concept in zip(shown.tolist(), strongest, strict=True)
    ]
    return scaled, labels


def log_association(logger: object, association: Association, examples: Mapping[str, str], step: int) -> None:
    """Show heatmap, projector, discoveries and example tokens where the logger is TensorBoard's.

    Args:
        logger: Any logger of Lightning's, on the first rank.
        association: The fitted association.
        examples: Markdown by concept.
        step: Step to log at.
    """
    if not isinstance(logger, TensorBoardLogger):
        return
    board = logger.experiment
    figure = layer_concept_figure(layer_strength(association), association.concepts, "association by layer")
    board.add_figure("association/layer_concept", figure, step)
    if association.gates is not None:
        shares = layer_shares(association.gates, association.layer, association.settings["gate_share"])
        board.add_figure(
            "gates/layer_concept", layer_concept_figure(shares, association.concepts, "gates by layer"), step
        )
    for concept, found in zip(association.concepts, association.gate.sum(0).tolist(), strict=True):
        board.add_scalar(f"discoveries/{concept}", found, step)
    coordinates, labels = projected(association)
    if len(labels):
        header = ["neuron", "layer", "class", "concept"]
        board.add_embedding(coordinates, labels, metadata_header=header, tag="neurons", global_step=step)
    for concept, text in examples.items():
        board.add_text(f"examples/{concept}", text, step)


def log_curves(logger: object, curves: Mapping[str, PrecisionRecall | None], step: int) -> None:
    """Show precision against recall of each concept where the logger is TensorBoard's."""
    if not isinstance(logger, TensorBoardLogger):
        return
    for concept, curve in curves.items():
        if curve is None:
            continue
        # one point alone is no curve; TensorBoard draws from the highest recall to the lowest
        columns = [getattr(curve, name).cpu().numpy() for name in PrecisionRecall.__slots__]
        logger.experiment.add_pr_curve_raw(
            f"reading/{concept}", *columns, global_step=step, num_thresholds=len(columns[0])
        )


def concept_examples(
    exciting: MaxActivatingTokens | None, learner: AttributionLearner, association: Association, tokenizer: Any
) -> dict[str, str]:
    """Markdown of the tokens that excite each token-level concept's first neurons; empty before any validation.

    Args:
        exciting: Slots are the concepts' first neurons, concept by concept.
        learner: Names the concepts and their decoders' neurons.
        association: Names the neurons.
        tokenizer: Writes the tokens.
    """
    if exciting is None:
        return {}
    decoder, names = learner.token_decoder, association.neurons
    shown, out = exciting.values.shape[1] // len(decoder.neurons), {}
    for c, concept in enumerate(learner.shape.concepts):
        rows = [(names[row], *found) for k, row in enumerate(decoder.neurons[c, :shown].tolist())
                for found in exciting.of(c * shown + k)]  # fmt: skip
        out[concept] = example_table(rows, lambda ids: str(tokenizer.decode(ids)))
    return out


def example_table(rows: list[tuple[str, float, list[int], int, list[int]]], decode: Callable[[list[int]], str]) -> str:
    """Markdown of the tokens that excite a concept's neurons.

    Args:
        rows: Neuron, value in standard deviations, token ids before, the token, token ids after.
        decode: Token ids to text.

    Example:
        >>> print(example_table([("layers.0.mlp/3", 2.5, [0], 1, [0])], lambda ids: " ".join("_|"[i] for i in ids)))
        | neuron | σ | token in its context |
        |---|---|---|
        | layers.0.mlp/3 | 2.5 | _ **&#124;** _ |
    """
    lines = ["| neuron | σ | token in its context |", "|---|---|---|"]
    for neuron, value, before, token, after in rows:
        parts = [markdown_cell(" ".join(decode(ids).split())) for ids in (before, [token], after)]
        lines.append(f"| {neuron} | {value:.1f} | {parts[0]} **{parts[1]}** {parts[2]} |")
    return "\n".join(lines)
