"""Weights-only semantic loss (equations.md L4): what a mask costs each concept, without running the pruned model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.semantic_loss.association_loss import semantic_weights
from semprune.attribution.semantic_loss.concept_norms import ConceptNorms, input_matrices
from semprune.attribution.semantic_loss.pruned_weights import PrunedWeights
from semprune.backbones import Backbone
from semprune.errors import SettingError
from semprune.statistics.intervals import jackknife_interval
from semprune.types import NeuronSite


def input_share_kept(
    dense: Float[Tensor, "neurons in"], pruned: Float[Tensor, "neurons in"], squares: Float[Tensor, "concepts in"]
) -> Float[Tensor, "neurons concepts"]:
    r"""Share of a neuron's squared input, over a concept's tokens, that its pruned row still passes.

    .. math:: r_{in}(j, c) = 1 - \frac{\sum_i (W'_{ji} - W_{ji})^2 \lVert X_i\rVert_c^2}
              {\sum_i W_{ji}^2 \lVert X_i\rVert_c^2}

    For a mask, where `W' − W` is `−W` at what was removed and 0 elsewhere, this is equations.md L4's sum over kept
    weights divided by the sum over all. Weights moved so far that the difference outweighs the row count as all lost.

    Source: equations.md L4.

    Args:
        dense: Rows of gate or up.
        pruned: The same rows, pruned.
        squares: `‖X_i‖_c²`.

    Returns:
        In [0, 1]; 1 where the row passed nothing to begin with.

    Example:
        >>> dense, norms = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 9.0]])
        >>> input_share_kept(dense, torch.tensor([[3.0, 0.0]]), norms)
        tensor([[0.9000, 0.5000]])
    """
    total = dense.square() @ squares.T.to(dense)
    lost = (pruned - dense).square() @ squares.T.to(dense)
    return torch.where(total > 0, 1 - lost / total.clamp(min=torch.finfo(total.dtype).tiny), 1).clamp(0, 1)


def output_share_kept(
    dense: Float[Tensor, "out neurons"], pruned: Float[Tensor, "out neurons"]
) -> Float[Tensor, " neurons"]:
    """Share of each column's squared weights that is kept: what the neuron can still write.

    Source: equations.md L4, with differences for changed weights as in :func:`input_share_kept`.

    Example:
        >>> output_share_kept(torch.tensor([[2.0], [0.0], [2.0]]), torch.tensor([[2.0], [0.0], [0.0]])).item()
        0.5
    """
    one = dense.new_ones(1, len(dense))
    return input_share_kept(dense.T, pruned.T, one)[:, 0]


def survival(parts: Sequence[Float[Tensor, "neurons concepts"]]) -> Float[Tensor, "neurons concepts"]:
    """Geometric mean of the shares kept: of gate, up and down; of up and down where there is no gate.

    Example:
        >>> survival([torch.tensor([[0.5]]), torch.tensor([[0.25]]), torch.tensor([[1.0]])])
        tensor([[0.5000]])
    """
    return torch.stack([part.expand_as(parts[0]) for part in parts]).prod(0) ** (1 / len(parts))


def neuron_survival(
    lm: Backbone, sites: Sequence[NeuronSite], pruned: PrunedWeights, squares: Float[Tensor, "layers concepts in"]
) -> Float[Tensor, "neurons concepts"]:
    """How much of every neuron a pruning leaves, for each concept, from weights and input norms alone.

    Args:
        lm: The dense backbone.
        sites: MLP sites, in the order of the neurons.
        pruned: What changed.
        squares: Of :meth:`ConceptNorms.without`, in the order of the backbone's sites.

    Returns:
        In [0, 1], on the CPU: `(r_in(gate) · r_in(up) · r_out)^(1/3)`; WSL is 1 − its weighted mean.

    Raises:
        SettingError: A site is not an MLP's.
    """
    places = {site.name: place for place, site in enumerate(lm.sites)}
    return torch.cat([_site_survival(lm, site, pruned, squares[_place(places, site)]).cpu() for site in sites])


def _place(places: dict[str, int], site: NeuronSite) -> int:
    if site.name not in places:
        raise SettingError("sites of the weights-only loss", site.name, "MLP neurons of the backbone")
    return places[site.name]


def _site_survival(lm: Backbone, site: NeuronSite, pruned: PrunedWeights, squares: Tensor) -> Tensor:
    parts = []
    for matrix in input_matrices(lm.matrices, site.layer):
        dense, after = pruned.pair(matrix)
        # a fused matrix holds the rows of gate, then those of up
        halves = zip(dense.split(site.width), after.split(site.width), strict=True)
        parts += [input_share_kept(before, now, squares) for before, now in halves]
    (down,) = [matrix for matrix in lm.matrices if matrix.layer == site.layer and matrix.role == "down"]
    return survival([*parts, output_share_kept(*pruned.pair(down))[:, None]])


def weights_only_loss(
    lm: Backbone,
    association: Association,
    norms: ConceptNorms,
    pruned: PrunedWeights,
    *,
    effects: Float[Tensor, "neurons concepts"] | None = None,
) -> pd.DataFrame:
    r"""Weights-only semantic loss of every concept, over all layers and per layer.

    .. math:: WSL_c = 1 - \sum_j \omega_{jc} \, (r_{in}(gate_j)\, r_{in}(up_j)\, r_{out}(j))^{1/3}

    Source: equations.md L4.

    Args:
        lm: The dense backbone.
        association: Its gate and scores weight the neurons.
        norms: Gathered over documents of the dense model, with the association's concepts.
        pruned: What changed.
        effects: Dense effects on held-out documents: neurons whose effect is not positive there get no weight, as in
            the activation-based loss. None weights all discoveries.

    Returns:
        Columns concept, level, layer (-1: all), wsl, wsl_low, wsl_high, n_tokens. Intervals are 95 %, from a
        delete-a-group jackknife over documents. NaN where a concept has no token or no neuron.

    Raises:
        BackboneMismatchError: The association is another backbone's.
        SettingError: The association holds neurons that are not an MLP's.
    """
    association.require(lm.fingerprint)
    weights = semantic_weights(association.score, association.matrix if effects is None else effects)
    kept = _kept_over_deletions(lm, association, norms, pruned)
    layers, place = association.layer.unique(return_inverse=True)
    shape = len(kept), len(layers), weights.shape[1]
    by_layer = weights.new_zeros(shape).index_add_(1, place, weights * kept)
    own = weights.new_zeros(shape[1:]).index_add_(0, place, weights)
    both = {-1: (by_layer.sum(1), own.sum(0))}
    both |= {layer: (by_layer[:, row], own[row]) for row, layer in enumerate(layers.tolist())}
    tokens, rows = norms.tokens.sum(0).long().tolist(), []
    for c, (concept, level) in enumerate(zip(association.concepts, association.levels, strict=True)):
        for layer, (passed, weight) in both.items():
            if layer >= 0 and not weight[c] > 0:
                continue
            known = tokens[c] > 0 and float(weight[c]) > 0
            values = (1 - passed[:, c] / weight[c]).tolist() if known else [float("nan")] * len(kept)
            low, high = jackknife_interval(values[0], np.array(values[1:]))
            rows.append({"concept": concept, "level": level, "layer": layer, "wsl": values[0], "wsl_low": low,
                         "wsl_high": high, "n_tokens": tokens[c]})  # fmt: skip
    return pd.DataFrame(rows)


def _kept_over_deletions(
    lm: Backbone, association: Association, norms: ConceptNorms, pruned: PrunedWeights
) -> Float[Tensor, "deletions neurons concepts"]:
    """What is left of each neuron, by all documents and without each block of them; every weight is read once."""
    squares = torch.stack([norms.without(block) for block in (None, *norms.blocks)], dim=1)
    survived = neuron_survival(lm, association.sites, pruned, squares.flatten(1, 2))
    kept: Tensor = survived.unflatten(1, squares.shape[1:3]).transpose(0, 1)
    return kept
