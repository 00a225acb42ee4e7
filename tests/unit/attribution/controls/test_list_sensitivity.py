"""How far neurons hang on the words of a list, and what the model calls a group of words."""

import re

import pytest
import torch
from tests.integration.tiny import tiny_backbone
from tests.planted.llama import DETECTORS, ECHOES, NAMES, PlantedLlama

from semprune.attribution.controls.list_sensitivity import list_sensitivity
from semprune.attribution.neurons.concept_naming import ANSWER_TOKENS, NAMING_PROMPT, name_of, named_concepts
from semprune.concepts import Concept, TokenLabeller
from semprune.errors import SettingError


@pytest.fixture(scope="module")
def llama():
    return PlantedLlama()


def sensitivity(llama, concepts, **settings):
    def labeller(own):
        return TokenLabeller(own, llama.lm.tokenizer)

    return list_sensitivity(llama.lm, concepts, labeller, llama.shape, llama.batches, **settings)


def test_halves_of_one_meaning_name_the_same_neurons_and_halves_of_two_do_not(llama):
    own = DETECTORS + ECHOES
    same = sensitivity(llama, llama.labeller.concepts, top=own).set_index("concept")
    assert same["overlap"].mean() > 0.9
    red, dog = (llama.labeller.concepts[k].words[:5] for k in (0, 1))
    mixed = Concept(NAMES[0], (*red, *dog))
    halved = sensitivity(llama, [mixed, *llama.labeller.concepts[1:]], top=own, seed=3).set_index("concept")
    assert halved.loc[NAMES[0], "words"] == 10
    assert halved.loc[NAMES[0], "overlap"] <= same.loc[NAMES[0], "overlap"]
    again = sensitivity(llama, llama.labeller.concepts, top=own).set_index("concept")
    assert again.equals(same)
    with pytest.raises(SettingError, match="draws"):
        sensitivity(llama, llama.labeller.concepts, draws=0)


class Speaking:
    """A model that goes on with fixed tokens."""

    def __init__(self, lm, answer):
        self.tokenizer, self.device = lm.tokenizer, torch.device("cpu")
        self.model = self
        rest = [i for i in lm.tokenizer(answer)["input_ids"] if i != lm.tokenizer.bos_token_id]
        self.rest = torch.tensor([rest + [lm.tokenizer.eos_token_id] * 99])

    def generate(self, ids, max_new_tokens, **_):
        return torch.cat([ids, self.rest[:, :max_new_tokens]], dim=1)


def test_a_name_is_the_greedy_continuation_token_by_token():
    lm = tiny_backbone()
    ids = lm.tokenizer(NAMING_PROMPT.format(words="good, happy"), return_tensors="pt")["input_ids"]
    lm.model.config.max_position_embeddings = 512
    length = ids.shape[1]
    for _ in range(ANSWER_TOKENS):
        ids = torch.cat([ids, lm.model(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    answer = lm.tokenizer.decode(ids[0, length:]).split("\n")[0]
    assert name_of(lm, ["good", "happy"]) == "_".join(re.findall("[a-z]+", answer.lower())[:3])
    assert name_of(lm, ["good", "happy"])


def test_the_model_names_a_group_by_the_first_line_of_its_answer(llama):
    assert name_of(Speaking(llama.lm, " Snow storm\nWords: dog"), ["rain", "fog"]) == "snow_storm"
    assert "{words}" in NAMING_PROMPT


def test_a_name_given_twice_or_not_at_all_leaves_the_words_own(llama):
    concepts = [Concept("influential.bad_rain", ("rain",)), Concept("influential.bad_fog", ("fog",))]
    names = [concept.name for concept in named_concepts(Speaking(llama.lm, " snow\n"), concepts, "bad")]
    assert names == ["influential.bad_snow", "influential.bad_fog"]
    silent = named_concepts(Speaking(llama.lm, "\n"), concepts, "bad")
    assert [concept.name for concept in silent] == [concept.name for concept in concepts]
