"""What neurons write and where concepts show, against products by hand and activations captured apart."""

import pytest
import torch
from tests.unit.attribution.worlds import CONCEPTS, WORDS, association_of, tiny_lm

from semprune.attribution.neurons.explain import evidence_weights, facets, text_evidence
from semprune.attribution.neurons.logit_lens import final_norm, written_logits, written_tokens
from semprune.errors import BackboneMismatchError, SettingError, UnknownNeuronError


@pytest.fixture
def world():
    lm = tiny_lm()
    neurons = sum(site.width for site in lm.sites)
    matrix = torch.zeros(neurons, 2)
    matrix[3], matrix[lm.sites[0].width + 1, 1] = torch.tensor([0.4, -0.1]), 0.5
    return lm, association_of(lm, matrix)


def test_rows_are_found_by_name_and_wrong_names_say_what_is_near(world):
    lm, association = world
    width = lm.sites[0].width
    assert association.index.row("layers.1.mlp/1") == width + 1
    assert association.neurons[association.index.row("layers.0.mlp/3")] == "layers.0.mlp/3"
    with pytest.raises(UnknownNeuronError, match=rf"'layers.0.mlp/{width}'; did you mean 'layers.0.mlp/"):
        association.index.row(f"layers.0.mlp/{width}")
    with pytest.raises(UnknownNeuronError) as told:
        association.index.row(f"layers.0.mlp/{width}")
    assert len(str(told.value)) < 250  # the three nearest, not a screen of them
    with pytest.raises(UnknownNeuronError, match=r"did you mean 'layers\.1\.mlp/0'"):
        association.index.row("layer.1.mlp/2")
    with pytest.raises(UnknownNeuronError):
        association.index.row("219")


def test_a_neurons_facets_are_its_discoveries_strongest_first(world):
    _, association = world
    found = facets(association, 3)
    assert found["concept"].tolist() == list(CONCEPTS)
    assert found["effect"].tolist() == pytest.approx([0.4, -0.1])
    assert found.loc[0, "strength"] == pytest.approx((0.4 * 4.0) ** 0.5)
    assert found.loc[0, "specificity"] == pytest.approx(0.16 / 0.17)
    assert facets(association, 0).empty


@pytest.mark.parametrize(
    ("architecture", "norm", "scale_of", "centred"),
    [
        ("LlamaForCausalLM", "model.norm", lambda weight: weight, False),
        ("GemmaForCausalLM", "model.norm", lambda weight: 1 + weight, False),
        ("GPT2LMHeadModel", "transformer.ln_f", lambda weight: weight, True),
        ("OPTForCausalLM", "model.decoder.final_layer_norm", lambda weight: weight, True),
        ("GPTNeoXForCausalLM", "gpt_neox.final_layer_norm", lambda weight: weight, True),
    ],
)
def test_what_is_written_is_the_column_through_norm_and_unembedding(architecture, norm, scale_of, centred):
    lm = tiny_lm(architecture)
    assert final_norm(lm) is lm.model.get_submodule(norm)
    site = lm.sites[-1]
    down = lm.model.get_submodule(site.module).weight
    column = down[5] if architecture == "GPT2LMHeadModel" else down[:, 5]
    if centred:
        column = column - column.mean()
    expected = lm.model.get_output_embeddings().weight @ (scale_of(lm.model.get_submodule(norm).weight) * column)
    torch.testing.assert_close(written_logits(lm, site, 5), expected, rtol=1e-4, atol=1e-5)


def test_the_tokens_are_those_of_the_largest_and_smallest_logits(world):
    lm, _ = world
    logits = written_logits(lm, lm.sites[0], 2)
    table = written_tokens(lm, lm.sites[0], 2, 3)
    assert table["promoted"].tolist() == [WORDS[k] for k in logits.topk(3).indices]
    assert table["suppressed"].tolist() == [WORDS[k] for k in logits.topk(3, largest=False).indices]


def test_evidence_is_the_weighted_mean_of_standardised_activations(world):
    lm, association = world
    association.mean[:] = 0.1
    ids = torch.tensor([[2, 7, 4]])
    held = []
    hook = lm.model.model.layers[0].mlp.down_proj.register_forward_pre_hook(lambda _, args: held.append(args[0][0]))
    lm.model(ids)
    hook.remove()
    reading = text_evidence(lm, association, "good film bad", (3,))
    assert reading.tokens == ("good", "film", "bad")
    z = ((held[0][:, 3] - 0.1) / (1 - 0.01) ** 0.5).clamp(-6, 6)
    torch.testing.assert_close(reading.neurons[:, 0], z)
    torch.testing.assert_close(reading.evidence[:, 0], z)  # the only neuron that praise excites
    assert evidence_weights(association).sum(0).tolist() == pytest.approx([1.0, 1.0])


def test_an_empty_text_and_another_backbone_are_refused(world):
    lm, association = world
    with pytest.raises(SettingError, match="at least one token"):
        text_evidence(lm, association, "")
    with pytest.raises(BackboneMismatchError):
        text_evidence(tiny_lm("GPT2LMHeadModel"), association, "good")


def test_sites_side_by_side_are_the_rows_of_one_matrix(world):
    _, association = world
    index, width = association.index, association.sites[0].width
    names = [f"layers.1.mlp/{width - 1}", "layers.0.mlp/2"]
    assert association.rows(names).tolist() == [2 * width - 1, 2]
    assert index.place(names[0]) == (association.sites[1], width - 1)
    assert index.within(association.rows(names), association.sites[1]).tolist() == [width - 1]
    assert (sum(index.widths), index.widths[0]) == (len(association.matrix), width)
    assert association.neurons[index.where(association.sites[1])][0] == "layers.1.mlp/0"
