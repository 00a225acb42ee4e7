"""What TensorBoard shows of a fit can be read."""

import pandas as pd
import torch

from semprune.attribution.monitoring import frontier_figure, layer_concept_figure


def test_the_heatmap_names_every_concept_upright_and_grows_with_them():
    concepts = tuple(f"empath.number_{place}" for place in range(30))
    values = torch.arange(30.0 * 32).view(32, 30)
    figure = layer_concept_figure(values, concepts, "association by layer")
    axes = figure.axes[0]
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == list(concepts)
    assert {label.get_rotation() for label in labels} == {0.0}
    assert labels[0].get_fontsize() * 1.15 / 72 < figure.get_figheight() * 0.85 / len(concepts)  # inches: none touch
    assert axes.images[0].get_array().shape == (30, 32)
    assert axes.images[0].get_array()[3].max() == 1.0  # each concept's own maximum


def test_a_frontier_whose_auroc_is_not_defined_is_drawn_empty():
    rows = [
        {"selection": name, "share": share, "measure": measure, "value": value}
        for name in ("own", "random")
        for share in (0.01, 0.02)
        for measure, value in (("auroc_lost", float("nan")), ("kl_general", share))
    ]
    (axes,) = frontier_figure(pd.DataFrame(rows)).axes
    assert len(axes.lines) == 2
