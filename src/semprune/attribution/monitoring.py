"""What TensorBoard shows of the association: a layer × concept heatmap."""

from __future__ import annotations

import torch
from jaxtyping import Float
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from torch import Tensor

from semprune.attribution.association import Association


def layer_strength(association: Association) -> Float[Tensor, "layers concepts"]:
    """Summed gated |effect| of each layer and concept."""
    strength = association.matrix.abs() * association.gate
    layers = int(association.layer.max()) + 1
    out = torch.zeros(layers, strength.shape[1])
    return out.index_add_(0, association.layer, strength)


def layer_concept_figure(values: Float[Tensor, "layers concepts"], concepts: tuple[str, ...], title: str) -> Figure:
    """Heatmap of layers (bottom: first) by concepts, each concept scaled to its own maximum."""
    figure = Figure(figsize=(max(6, 0.4 * len(concepts)), 7), layout="constrained")
    axes = figure.add_subplot()
    scaled = values / values.amax(0, keepdim=True).clamp(min=1e-12)
    image = axes.imshow(scaled.numpy(), aspect="auto", origin="lower", cmap="viridis", vmin=0, vmax=1)
    axes.set_xticks(range(len(concepts)), concepts, rotation=90, fontsize=7)
    axes.set_ylabel("layer")
    axes.set_title(title)
    figure.colorbar(image, label="share of the concept's maximum")
    return figure


def log_heatmap(logger: object, association: Association, step: int) -> None:
    """Show the layer × concept heatmap where the logger is TensorBoard's."""
    if isinstance(logger, TensorBoardLogger):
        figure = layer_concept_figure(layer_strength(association), association.concepts, "association by layer")
        logger.experiment.add_figure("association/layer_concept", figure, step)
