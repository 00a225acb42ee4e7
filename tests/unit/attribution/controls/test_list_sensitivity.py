"""How far neurons hang on the words of a list, and what the model calls a group of words."""

import pytest
import torch
from tests.planted.llama import DETECTORS, ECHOES, NAMES, PlantedLlama

from semprune.attribution.controls.list_sensitivity import list_sensitivity
from semprune.attribution.neurons.concept_naming import NAMING_PROMPT, name_of, named_concepts
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
        self.rest = lm.tokenizer(answer)["input_ids"]
        self.rest = [i for i in self.rest if i != lm.tokenizer.bos_token_id] + [lm.tokenizer.eos_token_id] * 99
        self.start = None

    def model(self, input_ids, use_cache):
        self.start = self.start or input_ids.shape[1]
        logits = torch.zeros(1, input_ids.shape[1], len(self.tokenizer))
        logits[0, -1, self.rest[input_ids.shape[1] - self.start]] = 1
        return type("Output", (), {"logits": logits})


def test_the_model_names_a_group_by_the_first_line_of_its_answer(llama):
    assert name_of(Speaking(llama.lm, " Snow storm\nWords: dog"), ["rain", "fog"]) == "snow_storm"
    assert "{words}" in NAMING_PROMPT


def test_a_name_given_twice_or_not_at_all_leaves_the_words_own(llama):
    concepts = [Concept("influential.bad_rain", ("rain",)), Concept("influential.bad_fog", ("fog",))]
    names = [concept.name for concept in named_concepts(Speaking(llama.lm, " snow\n"), concepts, "bad")]
    assert names == ["influential.bad_snow", "influential.bad_fog"]
    silent = named_concepts(Speaking(llama.lm, "\n"), concepts, "bad")
    assert [concept.name for concept in silent] == [concept.name for concept in concepts]
