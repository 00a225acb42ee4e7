"""Tiny models with a vocabulary of a few words, whose losses can be computed by hand or by slow loops."""

from __future__ import annotations

import torch
from tests.models import word_tokenizer
from tests.unit.backbones.tiny import make_model

from semprune.attribution.association.association import Association
from semprune.attribution.fit.fitted import fitted_association
from semprune.attribution.fit.learner import AttributionLearner, LabelledBatch, LearnerShape
from semprune.attribution.fit.preparation import prepare
from semprune.backbones import Backbone, describe
from semprune.types import DocumentBatch

WORDS = ["<s>", "</s>", "good", "fine", "bad", "poor", "the", "film", "bittersweet", "mixed", "it", "and"]
CONCEPTS = ("praise", "blame")
OWN = {"praise": (2, 3, 8, 9), "blame": (4, 5, 8, 9)}  # token ids of each concept; two words are both
PLANTED = {"praise": [0, 1, 2, 3], "blame": [4, 5, 6, 7]}  # neurons of the first layer of `planted_lm`
CLASSES = ("texts.one", "texts.two")


def tiny_lm(architecture: str = "LlamaForCausalLM", **changes: object) -> Backbone:
    tokenizer = word_tokenizer(WORDS, bos_token="<s>", eos_token="</s>", pad_token="</s>", model_max_length=32)
    return describe(make_model(architecture, vocab_size=len(WORDS), **changes), tokenizer, "tiny")


def observed(documents: int = 24, tokens: int = 7, seed: int = 0, padded: bool = True) -> LabelledBatch:
    """Random words with token labels; the second half of the documents has class 1, two texts share a document."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, len(WORDS), (documents, tokens), generator=generator)
    mask = torch.ones_like(ids)
    if padded:
        mask[::3, -2:] = 0
    batch = DocumentBatch(
        input_ids=ids,
        attention_mask=mask,
        document=torch.arange(documents),
        dataset=torch.zeros(documents, dtype=torch.long),
        label=(torch.arange(documents) >= documents // 2).long(),
        cluster=torch.arange(documents) // 2,
    )
    valid = mask.bool().clone()
    valid[:, 0] = False
    nothing = torch.zeros(documents, tokens, 1)
    return LabelledBatch(batch, label_tokens(ids, mask), valid, nothing, nothing[:, 0])


def label_tokens(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Stands for the labeller: which concepts each token carries."""
    labels = torch.stack([torch.isin(ids, torch.tensor(OWN[name])) for name in CONCEPTS], dim=-1)
    return labels & mask[..., None].bool()


def planted_lm() -> Backbone:
    """A Llama whose words write their concepts into the first two places of the embedding.

    In the first MLP only the planted rows read these places, and they read little else; attention writes nothing, and
    the planted neurons next to nothing. In all other places there are only two kinds of words, with as many words of
    each concept in both, and a third place makes all norms equal: no other neuron can tell concepts apart.
    """
    lm = tiny_lm(intermediate_size=24)
    body, places = lm.model.model, len(CONCEPTS)
    with torch.no_grad():
        embedding = body.embed_tokens.weight
        embedding[4::2], embedding[5::2] = embedding[2].clone(), embedding[3].clone()
        embedding[:, :places] = 0
        for c, name in enumerate(CONCEPTS):
            embedding[list(OWN[name]), c] = 2.0
        embedding[:, places] = (2 * places - embedding[:, :places].square().sum(1) / 2).sqrt() * 2**0.5
        for layer in body.layers:
            layer.input_layernorm.weight.fill_(1)
            layer.post_attention_layernorm.weight.fill_(1)
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight[: places + 1] = 0
            for projection in (layer.mlp.gate_proj, layer.mlp.up_proj):
                projection.weight[:, : places + 1] = 0
        for c, rows in enumerate(PLANTED.values()):
            for projection in (body.layers[0].mlp.gate_proj, body.layers[0].mlp.up_proj):
                projection.weight[rows] *= 0.1
                projection.weight[rows, c] = 2.0
            body.layers[0].mlp.down_proj.weight[:, rows] *= 1e-6
    return lm


def fitted_learner(lm: Backbone, batches: list[DocumentBatch], decoder_neurons: int = 6) -> AttributionLearner:
    """A learner that has seen the batches: closed form, variances and first decoder weights, no steps of SGD."""
    shape = LearnerShape(CONCEPTS, CLASSES, ("texts",), 16, len(WORDS))
    learner = AttributionLearner(shape, lm.sites, 1e-4, decoder_neurons)
    prepare(learner, lm, label_tokens, lambda: batches, 10**9)
    for batch in batches:
        learner.accumulate(lm, learner.labelled(batch, label_tokens))
    learner.finish_sums()
    for batch in batches:
        learner.batch_statistics(lm, learner.labelled(batch, label_tokens), variance=True)
    return learner


def fitted(lm: Backbone, learner: AttributionLearner) -> Association:
    return fitted_association(learner, lm.fingerprint, {"backbone": lm.name}, 0.05)


def association_of(lm: Backbone, matrix: torch.Tensor, concepts: tuple[str, ...] = CONCEPTS) -> Association:
    """An association with given effects; all that are not 0 are discoveries."""
    neurons = len(matrix)
    return Association(
        matrix=matrix, t=10 * matrix, q=(matrix == 0).float(), gate=matrix != 0, any_concept=torch.zeros(neurons),
        neuron_class=torch.zeros(neurons, dtype=torch.long), mean=torch.zeros(neurons), rms=torch.ones(neurons),
        concepts=concepts, levels=("token",) * len(concepts), sites=lm.sites, fingerprint=lm.fingerprint,
        settings={"backbone": lm.name},
    )  # fmt: skip
