"""What a neuron writes: its column of the down-projection, read through the final norm and the unembedding."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from semprune.attribution.association.neurons import NeuronIndex
from semprune.backbones import Backbone
from semprune.errors import ConfigurationError
from semprune.pruning.weights.linear import stored_weight
from semprune.types import NeuronSite


def written_logits(lm: Backbone, site: NeuronSite, index: int) -> Float[Tensor, " vocabulary"]:
    r"""What one unit of a neuron's activation adds to every token's logit, straight through the residual stream.

    .. math:: W_U \, (\gamma \odot D_{\cdot j})

    with `D` the down-projection, `γ` the final norm's scale and `W_U` the unembedding. Later blocks and the norm's
    division are left out: the order of the tokens, not the size, is what it tells. Norms that remove the mean
    (LayerNorm) remove it here too; scales of norms behind the MLP (Gemma 2) are not applied.

    Source: the logit lens of a neuron (nostalgebraist 2020; Geva et al. 2022).

    Args:
        lm: The backbone, dense or pruned.
        site: The neuron's site.
        index: Its index there.

    Raises:
        ConfigurationError: The model's unembedding does not read the residual stream.
    """
    logits: Tensor = _unembedding(lm) @ _direction(lm, site, index)
    return logits


def _unembedding(lm: Backbone) -> Float[Tensor, "vocabulary features"]:
    weight: Tensor = lm.model.get_output_embeddings().weight
    return weight.float()


def _direction(lm: Backbone, site: NeuronSite, index: int) -> Float[Tensor, " features"]:
    """What a neuron adds to the residual stream, behind the final norm."""
    matrix = next(m for m in lm.matrices if m.module == site.module)
    weight = stored_weight(lm.model, matrix.name)
    direction = (weight[index] if matrix.transposed else weight[:, index]).float()
    unembedding = lm.model.get_output_embeddings().weight
    if unembedding.shape[1] != len(direction):
        raise ConfigurationError(
            f"{lm.name}: the unembedding reads {unembedding.shape[1]} features, the residual stream has "
            f"{len(direction)}: what a neuron writes cannot be read off."
        )
    norm = final_norm(lm)
    return direction if norm is None else _through(norm, direction, lm.dtype)


def final_norm(lm: Backbone) -> nn.Module | None:
    """The norm between the last block and the unembedding; None where there is none."""
    body = lm.model.get_submodule(lm.family.layers.rpartition(".")[0])
    norms = [
        module
        for module in body.children()
        if not isinstance(module, nn.ModuleList | nn.Embedding)
        and isinstance(getattr(module, "weight", None), Tensor)
        and module.weight.ndim == 1
    ]
    return norms[-1] if norms else None


@torch.no_grad()
def _through(norm: nn.Module, direction: Tensor, dtype: torch.dtype) -> Tensor:
    """Scale a direction as a norm does, whatever it calls its scale (Gemma's is stored less 1)."""
    ones = torch.ones_like(direction, dtype=dtype)
    signs = ones.clone()
    signs[1::2] = -1  # mean 0 and mean square 1: neither kind of norm changes it but by its scale
    bias = norm(torch.zeros_like(ones)).float()
    scale: Tensor = (norm(signs).float() - bias) * signs.float()
    if torch.allclose(norm(ones).float(), bias, atol=1e-3):  # a constant vanishes: the norm removes the mean
        direction = direction - direction.mean()
    return scale * direction


def written_tokens(lm: Backbone, site: NeuronSite, index: int, k: int = 10) -> pd.DataFrame:
    """The tokens that a neuron makes most and least likely.

    Returns:
        Columns rank, promoted, promoted_logit, suppressed, suppressed_logit; tokens as they are written.
    """
    return _tokens(lm, written_logits(lm, site, index), k)


def written_by(lm: Backbone, index: NeuronIndex, names: Iterable[str], k: int = 10) -> pd.DataFrame:
    """:func:`written_tokens` of several neurons, at least one, with the neuron's name as the first column.

    Raises:
        UnknownNeuronError: There is no such neuron.
        ConfigurationError: The model's unembedding does not read the residual stream.
    """
    unembedding, tables = _unembedding(lm), []
    for name in names:
        tables.append(_tokens(lm, unembedding @ _direction(lm, *index.place(name)), k))
        tables[-1].insert(0, "neuron", name)
    return pd.concat(tables, ignore_index=True)


def _tokens(lm: Backbone, logits: Float[Tensor, " vocabulary"], k: int) -> pd.DataFrame:
    known = logits[: len(lm.tokenizer)].cpu()  # padding of the vocabulary stands for nothing
    top, bottom = known.topk(k), known.topk(k, largest=False)
    decode = lm.tokenizer.decode
    return pd.DataFrame({
        "rank": range(1, k + 1),
        "promoted": [decode([token]) for token in top.indices.tolist()], "promoted_logit": top.values.tolist(),
        "suppressed": [decode([token]) for token in bottom.indices.tolist()],
        "suppressed_logit": bottom.values.tolist(),
    })  # fmt: skip
