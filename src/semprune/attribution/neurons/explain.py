"""What a neuron stands for, and which concepts a text excites: read from an association and a model."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from semprune.attribution.association.association import Association
from semprune.attribution.association.score import DEFAULT_RANKING
from semprune.attribution.neurons.facets import facets, strongest_neurons
from semprune.attribution.neurons.logit_lens import written_by
from semprune.attribution.standardisation.site_pass import CLIP
from semprune.backbones import Backbone, capture
from semprune.data.batches.special_tokens import encode
from semprune.errors import ConfigurationError, SettingError
from semprune.ranges import checked
from semprune.types import Count, NeuronSite

EVIDENCE_NEURONS = 20  # neurons whose mean says how much of a concept a token shows


@checked
def explain(
    association: Association,
    lm: Backbone,
    *,
    neuron: str | None = None,
    concept: str | None = None,
    text: str | None = None,
    by: str = DEFAULT_RANKING,
    most: Count = 10,
) -> pd.DataFrame:
    """Say what a neuron, a concept or a text means to an association; one of the three.

    Args:
        association: Which neuron carries which concept.
        lm: Its backbone.
        neuron: A neuron, as in ``layers.15.mlp/219``: the concepts it stands for, see :func:`facets`.
        concept: A concept: its first neurons, see :func:`strongest_neurons`.
        text: A text: one row per token, with the evidence of each concept as a column, see :func:`text_evidence`.
        by: The ranking of a concept's neurons.
        most: Neurons of a concept.

    Raises:
        ConfigurationError: None or several of the three are given.
        UnknownNeuronError: There is no such neuron.
        UnknownConceptError: There is no such concept.
        BackboneMismatchError: The association is another backbone's.
    """
    if sum(each is not None for each in (neuron, concept, text)) != 1:
        raise ConfigurationError("say what to explain, one of neuron, concept and text")
    association.require(lm.fingerprint)
    if neuron is not None:
        return facets(association, association.index.row(neuron))
    if concept is not None:
        return strongest_neurons(association, concept, lambda names: written_by(lm, association.index, names), by, most)
    found = text_evidence(lm, association, str(text))
    evidence = pd.DataFrame(found.evidence.numpy(), columns=list(association.concepts))
    evidence.insert(0, "token", found.tokens)
    return evidence


@dataclass(frozen=True)
class TextEvidence:
    """A text as an association reads it.

    Attributes:
        tokens: The text's tokens, as they are written.
        evidence: Mean standardised activation of each concept's strongest neurons at each token.
        neurons: Standardised activation of the asked-for neurons at each token.
    """

    tokens: tuple[str, ...]
    evidence: Float[Tensor, "tokens concepts"]
    neurons: Float[Tensor, "tokens neurons"]


def text_evidence(lm: Backbone, association: Association, text: str, rows: tuple[int, ...] = ()) -> TextEvidence:
    """Run a text through the model and say which concepts show at which token.

    Activations are standardised by the association's own mean and standard deviation and clipped at ±6. A concept's
    evidence is their mean over its 20 strongest neurons, weighted by the default ranking. Source: ours.

    Args:
        lm: The backbone of the association.
        association: Its neurons and strengths.
        text: Any text; what is longer than the model's context is cut off.
        rows: Neurons to report one by one.

    Raises:
        SettingError: The text has no tokens.
        BackboneMismatchError: The association is another backbone's.
    """
    association.require(lm.fingerprint)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SettingError("text", text, "Unicode") from error
    ids = encode(lm.tokenizer, text)[: lm.max_length]
    if not ids:
        raise SettingError("text", text, "a text with at least one token")
    weights = evidence_weights(association)
    evidence = torch.zeros(len(ids), len(association.concepts))
    wanted = torch.zeros(len(ids), len(rows))
    deviation = (association.rms.square() - association.mean.square()).clamp(min=0).sqrt()

    def take(site: NeuronSite, activations: Tensor) -> None:
        where = association.index.where(site)
        away = activations[0].float().cpu() - association.mean[where]
        z = torch.where(deviation[where] > 0, away / deviation[where].clamp(min=1e-30), 0).clamp(-CLIP, CLIP)
        evidence.add_(z @ weights[where])
        for place, row in enumerate(rows):
            if where.start <= row < where.stop:
                wanted[:, place] = z[:, row - where.start]

    with torch.no_grad(), capture(lm.model, association.sites, take):
        lm.model.base_model(input_ids=torch.tensor([ids], device=lm.device), use_cache=False)
    return TextEvidence(tuple(lm.tokenizer.decode([token]) for token in ids), evidence, wanted)


def evidence_weights(association: Association, k: int = EVIDENCE_NEURONS) -> Float[Tensor, "neurons concepts"]:
    """Weights of each concept's ``k`` strongest exciting neurons, summing to 1; 0 for a concept without any."""
    columns = []
    for concept in association.concepts:
        strength = association.ranking(concept).clamp(min=0)
        kept = torch.zeros_like(strength)
        best: Int[Tensor, " k"] = strength.topk(min(k, len(strength))).indices
        kept[best] = strength[best]
        columns.append(kept / kept.sum().clamp(min=1e-30))
    return torch.stack(columns, dim=1)
