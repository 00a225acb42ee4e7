"""Influential words: known words of planted classes, known clusters, and concepts that load."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semprune.concepts import Concept
from semprune.concepts.influential.clusters import cluster_directions, embed_words, influential_concepts, write_concepts
from semprune.concepts.influential.words import influential_words, log_odds_z, words_of
from semprune.concepts.registry import load_concepts
from semprune.concepts.tokens.labeller import TokenLabeller
from semprune.errors import ConceptWithoutEvidenceError, SettingError, VocabularySchemaError

COMMON = ["the", "film", "was", "on", "and", "we", "saw", "it", "with", "them"]


def documents(seed: int = 0, each: int = 200):
    """Class "good" holds lovely and charming in half of its documents, "bad" boring; all others are equally common."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for label, own in (("good", ["lovely", "charming"]), ("bad", ["boring"])):
        for _ in range(each):
            words = [word for word in COMMON if random.random() < 0.5] + [w for w in own if random.random() < 0.5]
            texts.append(" ".join(words * 3))
            labels.append(label)
    return texts, labels


def test_influential_words_are_those_that_were_planted():
    texts, labels = documents()
    assert [word for word, _ in influential_words(texts, labels, "bad")] == ["boring"]
    assert sorted(word for word, _ in influential_words(texts, labels, "good")) == ["charming", "lovely"]


def test_a_word_repeated_in_one_document_is_no_evidence():
    texts, labels = documents()
    texts[0] += " zebra" * 50
    assert "zebra" not in [word for word, _ in influential_words(texts, labels, "good")]


def test_without_a_difference_there_are_no_influential_words():
    texts = ["the film was"] * 40
    with pytest.raises(ConceptWithoutEvidenceError, match=r"influential\.good"):
        influential_words(texts, ["good", "bad"] * 20, "good")


@pytest.mark.parametrize("label", ["neutral", "all"])
def test_a_class_of_no_text_or_of_all_is_refused(label):
    with pytest.raises(SettingError, match="class of some texts and not of all"):
        influential_words(["a", "b"], ["all", "all"], label)


def test_log_odds_by_hand():
    """Equations 16, 20 and 22 of Monroe et al., word by word."""
    inside, outside, strength = [8.0, 1.0, 3.0], [2.0, 4.0, 6.0], 5.0
    expected = []
    for y, other in zip(inside, outside, strict=True):
        prior = strength * (y + other) / (sum(inside) + sum(outside))
        first = (y + prior) / (sum(inside) + strength - y - prior)
        second = (other + prior) / (sum(outside) + strength - other - prior)
        expected.append((math.log(first) - math.log(second)) / math.sqrt(1 / (y + prior) + 1 / (other + prior)))
    np.testing.assert_allclose(log_odds_z(np.array(inside), np.array(outside), strength), expected, rtol=1e-12)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=2, max_size=8))
def test_changing_sides_changes_the_sign(counts):
    a, b = (np.array([float(pair[k]) for pair in counts]) for k in (0, 1))
    np.testing.assert_allclose(log_odds_z(a, b), -log_odds_z(b, a), atol=1e-9)


def test_words_with_an_apostrophe_are_one_word():
    assert words_of("It isn’t 3D, IT ISN'T!") == {"it", "isn't", "d"}


def test_clusters_are_the_planted_directions_and_do_not_depend_on_length():
    random = torch.Generator().manual_seed(0)
    centres = torch.eye(3, 20) * 5
    which = torch.arange(30) % 3
    vectors = centres[which] + 0.3 * torch.randn(30, 20, generator=random)
    found = cluster_directions(vectors, 3)
    assert torch.equal(found, which)  # numbered in the order of their first words
    assert torch.equal(cluster_directions(vectors, 3), found)
    with pytest.raises(SettingError, match="between 1 and the number of words, 30"):
        cluster_directions(vectors, 31)
    assert cluster_directions(vectors, 1).tolist() == [0] * 30


def test_words_are_embedded_as_the_mean_of_their_tokens(tokenizers):
    tokenizer = tokenizers["gpt2"]
    table = torch.arange(len(tokenizer)).float()[:, None].repeat(1, 2)
    ids = tokenizer([" goodness"], add_special_tokens=False)["input_ids"][0]
    assert embed_words(["goodness"], tokenizer, table)[0].tolist() == pytest.approx([sum(ids) / len(ids)] * 2)


def test_concepts_of_clusters_are_written_read_and_labelled(tmp_path, tokenizers):
    words = [("good", 9.0), ("bad", 8.0), ("art", 7.0), ("party", 6.0), ("artist", 5.0), ("well-known", 4.0)]
    vectors = torch.tensor([[1.0, 0], [0.9, 0.1], [0.0, 1], [0.1, 0.9], [0.0, 0.8], [0.8, 0.0]])
    concepts = influential_concepts(words, "Sci/Tech", vectors, 2)
    assert [(c.name, c.words) for c in concepts] == [
        ("influential.sci_tech_good", ("good", "bad", "well-known")),
        ("influential.sci_tech_art", ("art", "party", "artist")),
    ]
    paths = write_concepts(concepts, tmp_path / "words", source="ours", licence="CC0-1.0")
    loaded = load_concepts([str(path) for path in paths])
    assert loaded == concepts
    tokenizer = tokenizers["gpt2"]
    ids = torch.tensor([tokenizer("the party had good art", add_special_tokens=False)["input_ids"]])
    assert TokenLabeller(loaded, tokenizer)(ids)[0].sum(0).tolist() == [1, 2]


def test_small_clusters_are_no_concepts():
    words = [("good", 9.0), ("bad", 8.0)]
    with pytest.raises(ConceptWithoutEvidenceError, match=r"influential\.good"):
        influential_concepts(words, "good", torch.eye(2), 2)


def test_two_groups_of_one_name_are_refused_and_nothing_is_written(tmp_path):
    twice = [Concept("influential.c_good", ("good", "fine")), Concept("influential.c_good", ("bad", "sad"))]
    with pytest.raises(VocabularySchemaError, match="two groups of words are called so"):
        write_concepts(twice, tmp_path / "words", source="ours", licence="CC0-1.0")
    assert not (tmp_path / "words").exists()
