"""Vocabularies: what is found, what each promises, and what is refused."""

import re

import pytest

from semprune.concepts.concept import Concept
from semprune.concepts.registry import DEFAULT_CONCEPTS, concept_names, load_concepts, sources, vocabularies
from semprune.concepts.sources import empath, own, vader
from semprune.errors import SettingError, UnknownConceptError, VocabularySchemaError

VALID = "name: a.b\nabout: x\nsource: ours\nlicence: CC0-1.0\nwords: [never, no longer]\n"


@pytest.mark.parametrize("name", concept_names())
def test_every_concept_that_is_found_loads(name):
    (concept,) = load_concepts([name])
    assert concept.name == name
    assert concept.level == "token"
    assert concept.token_pattern is not None or len(concept.words) >= 10
    assert len(set(concept.words)) == len(concept.words)
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", name)


@pytest.mark.parametrize("vocabulary", list(sources().values()), ids=lambda v: type(v).__name__)
def test_every_vocabulary_says_where_it_comes_from(vocabulary):
    assert vocabulary.about
    assert vocabulary.source
    assert vocabulary.licence in {"MIT", "Apache-2.0", "WordNet-3.0"} or vocabulary.non_commercial
    assert vocabulary.prefix is None or all(name.startswith(vocabulary.prefix) for name in vocabulary.names())


def test_the_default_set():
    loaded = load_concepts(["default"])
    assert tuple(concept.name for concept in loaded) == DEFAULT_CONCEPTS
    assert len(loaded) == 21


def test_names_keep_their_order_and_count_once():
    names = ["language.time", "default", "empath.war", "language.time"]
    loaded = [concept.name for concept in load_concepts(names)]
    assert loaded[0] == "language.time"
    assert loaded[-1] == "empath.war"
    assert sorted(loaded) == sorted({*DEFAULT_CONCEPTS, "empath.war"})


def test_no_names_give_no_concepts():
    assert load_concepts([]) == ()


def test_an_unknown_concept_names_the_nearest_and_stays_short():
    with pytest.raises(UnknownConceptError, match=r"unknown concept 'empath.violense'; did you mean") as caught:
        load_concepts(["empath.violense"])
    assert "'empath.violence'" in str(caught.value)
    assert re.search(r"and \d{3,4} more", str(caught.value))
    assert len(str(caught.value)) < 500


def test_one_bare_name_is_not_taken_for_letters():
    with pytest.raises(SettingError, match=r"concepts must be a list of names, for example \[default\], got 'default'"):
        load_concepts("default")


def test_vader_keeps_what_is_at_least_moderate():
    positive, negative = load_concepts(["sentiment.positive", "sentiment.negative"])
    assert {"good", "great", "love"} <= set(positive.words)  # 1.9, 3.1, 3.2 in the lexicon
    assert {"bad", "terrible", "awful"} <= set(negative.words)  # -2.5, -2.1, -2.0
    assert not {"like", "no", "well"} & {*positive.words, *negative.words}  # 1.5, -1.2, 1.1
    assert not set(positive.words) & set(negative.words)
    lexicon = vader.read_lexicon()
    assert len(positive.words) == sum(valence >= 1.6 for valence in lexicon.values())
    assert len(negative.words) == sum(valence <= -1.6 for valence in lexicon.values())


def test_empath_has_its_topics_with_words_that_can_be_found_in_text():
    topics = empath.read_topics()
    assert len(topics) == 194
    assert {"punch", "stab"} <= set(topics["violence"])
    words = {word for entries in topics.values() for word in entries}
    assert "worst part" in words  # worst_part in the file
    assert not {"worst_part", "a.m.", ".45", "year-"} & words


def test_empath_without_its_file_is_refused(monkeypatch):
    monkeypatch.setattr(empath, "find_spec", lambda name: None)
    empath.read_topics.cache_clear()
    with pytest.raises(VocabularySchemaError, match="pip install empath"):
        empath.read_topics()


def test_own_vocabulary_reads_words_and_pattern():
    assert own.parse_vocabulary("a.b", VALID + "token_pattern: '[0-9]+'\n") == Concept(
        "a.b", ("never", "no longer"), "[0-9]+"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VALID + "word: [x]\n", r"unknown keys: \['word'\]"),
        (VALID.replace("licence: CC0-1.0\n", ""), r"missing keys: \['licence'\]"),
        (VALID.replace("a.b", "a.c"), "name is 'a.c'. Name it like its file"),
        (VALID.replace("[never, no longer]", "[no, never]"), "Quote no"),
        (VALID.replace("[never, no longer]", "never"), "words must be a list"),
        (VALID.replace("[never, no longer]", "[never, never]"), r"repeated: \['never'\]"),
        (VALID.replace("[never, no longer]", "[Never]"), "not in lower case: 'Never'"),
        (VALID.replace("[never, no longer]", "[never.]"), "start and end with a letter or digit"),
        (VALID.replace("[never, no longer]", "['no  longer']"), "more than single spaces"),
        (VALID.replace("[never, no longer]", "[]"), "neither words nor a token pattern"),
        (VALID + "token_pattern: '['\n", "not a regular expression"),
        (VALID + "token_pattern: 7\n", "every other value a text"),
        ("- a\n- b\n", "not a mapping"),
        ("name: [", "not YAML"),
    ],
)
def test_own_vocabulary_refuses(text, message):
    with pytest.raises(VocabularySchemaError, match=message):
        own.parse_vocabulary("a.b", text)


def test_a_file_of_ones_own_is_a_concept(tmp_path):
    (tmp_path / "a.b.yaml").write_text(VALID)
    (concept,) = load_concepts([str(tmp_path / "a.b.yaml")])
    assert concept == Concept("a.b", ("never", "no longer"))
    with pytest.raises(VocabularySchemaError, match="there is no file"):
        load_concepts([str(tmp_path / "a.c.yaml")])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["one/a.b.yaml", "two/a.b.yaml"], "'a.b': both .*one/a.b.yaml and .*two/a.b.yaml are called so"),
        (["one/", "two/a.b.yaml"], "'a.b': both .* are called so"),
        (["one/sentiment.positive.yaml"], "'sentiment.positive': .* has the name of a concept that semprune offers"),
    ],
)
def test_concepts_of_two_sources_with_one_name_are_refused(tmp_path, asked, said):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.b.yaml").write_text(VALID.replace("[never, no longer]", f"[{folder}]"))
    own_positive = VALID.replace("a.b", "sentiment.positive").replace("[never, no longer]", "[mine]")
    if "sentiment" in asked[0]:
        (tmp_path / "one/sentiment.positive.yaml").write_text(own_positive)
    with pytest.raises(VocabularySchemaError, match=said):
        load_concepts([f"{tmp_path}/{name}" for name in asked])


def test_a_name_offered_twice_is_refused(monkeypatch):
    monkeypatch.setattr(own.OwnVocabulary, "names", lambda self: ("empath.war",))
    vocabularies.cache_clear()
    try:
        with pytest.raises(VocabularySchemaError, match=r"'empath.war' is offered twice"):
            vocabularies()
    finally:
        vocabularies.cache_clear()


@pytest.mark.timeout(60)
def test_a_concept_of_50_000_words_is_read_in_linear_time():
    words = [f"w{number}" for number in range(50_000)]
    head = VALID.partition("words")[0]
    assert own.parse_vocabulary("a.b", f"{head}words: [{', '.join(words)}]").words == tuple(words)
    with pytest.raises(VocabularySchemaError, match=r"repeated: \['w1', 'w2', 'w3', 'w4', 'w5', 'w6' and 1 more\]"):
        own.parse_vocabulary("a.b", f"{head}words: [{', '.join(words + words[1:8])}]")


@pytest.mark.timeout(20)
def test_a_text_is_no_word_and_messages_stay_short():
    with pytest.raises(VocabularySchemaError, match="words have more than 100 characters") as caught:
        Concept("a.b", ("x" * 100_000,))
    assert len(str(caught.value)) < 500
    with pytest.raises(VocabularySchemaError, match="not in lower case") as caught:
        Concept("a.b", tuple(f"W{number}" for number in range(10_000)))
    assert len(str(caught.value)) < 500
