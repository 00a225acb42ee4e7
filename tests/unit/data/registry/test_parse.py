"""What is wrong in a YAML is one typed error that names the key."""

from __future__ import annotations

import pytest
import yaml

from semprune.data.registry import calibration_names, calibration_spec, dataset_names, dataset_spec
from semprune.data.registry.catalogue import read_calibration_yaml, read_dataset_yaml
from semprune.errors import DatasetSchemaError, UnknownCalibrationError, UnknownDatasetError

TOY = {
    "name": "toy",
    "family": "topic",
    "about": "Toy.",
    "licence": "none",
    "hub": {"path": "a/b", "split": "test"},
    "columns": ["text", "label"],
    "text": ["text"],
    "labels": {"column": "label", "values": [0, 1], "classes": ["dog", "cat"]},
    "prompts": [{"name": "ask", "context": "{text} is", "choices": [" dog", " cat"]}],
    "metrics": ["accuracy"],
}


def test_a_correct_declaration_is_read() -> None:
    spec = read_dataset_yaml("toy", yaml.safe_dump(TOY))
    assert spec.labels.classes == ("dog", "cat")
    assert spec.hub is not None
    assert spec.hub.split == "test"
    assert spec.reserve == 0.0
    assert spec.offline is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"famly": "topic"}, "unknown key 'famly'"),
        ({"hub": {"path": "a/b", "spilt": "test"}}, "unknown key 'hub.spilt'. Known keys here: .*split"),
        ({"hub": {"path": "a/b"}}, "key 'hub.split' is missing"),
        ({"family": "topics"}, "family must be one of sentiment, similarity, reasoning, topic, got 'topics'"),
        ({"columns": "text"}, "columns must be a list, got 'text'"),
        ({"about": 7}, "about must be of type str, got 7"),
        ({"deduplicate": 1}, "deduplicate must be of type bool, got 1"),
        ({"reserve": True}, "reserve must be of type float, got True"),
        ({"max_words": {"text": True}}, "max_words.text must be of type int, got True"),
        ({"max_words": ["text"]}, r"max_words must be a mapping, got \['text'\]"),
        ({"prompts": [{"context": "ask"}]}, r"key 'prompts\[0\].name' is missing"),
        ({"prompts": [{"name": "a", "choices": [" a", " b"]}]}, "exactly one of `context`, `contexts`"),
        (
            {"prompts": [{"name": "a", "contexts": ["{text}"], "choices": [" a", " b"]}]},
            "prompt 'a' needs a context per choice",
        ),
        ({"prompts": [TOY["prompts"][0] | {"name": "all"}]}, "a prompt is called 'all'"),
        ({"prompts": TOY["prompts"] * 2}, "two of the prompts ask, ask have one name"),
        ({"derive": {"loud": "text.upper("}}, "derive.loud is no Jinja expression"),
        ({"derive": {"loud": "txt.upper()"}}, "derive.loud reads txt, which come later or never"),
        ({"derive": {"a": "b", "b": "text"}}, "derive.a reads b, which come later or never"),
        ({"shot_reserve": 1}, r"shot_reserve must be in \[0, 1\), got 1"),
        ({"shots_within": "subject"}, "subject used, but not in `columns`"),
        ({"drop": [{"column": "text", "reason": "r"}]}, "exactly one of `contains`, `matches`, `values`"),
        ({"drop": [{"column": "text", "reason": "r", "matches": "("}]}, "drop: '\\(' is no regular expression"),
        ({"offline": {"asset": "a", "files": "b", "format": "lines"}}, "lines need it"),
        (
            {"offline": {"asset": "a", "files": "b", "format": "lines", "pattern": "("}},
            "offline.pattern: '\\(' is no regular expression",
        ),
        ({"labels": {"column": "label", "threshold": 3, "classes": ["a"]}}, "`threshold` needs two classes"),
        ({"name": "dog"}, "its name is 'dog'"),
        ({"hub": None}, "it has no source"),
        ({"metrics": []}, "must each hold at least one entry"),
        ({"reserve": float("nan")}, r"reserve must be in \[0, 1\), got nan"),
        ({"max_words": {"text": 0}}, r"max_words\.text must be at least 1, got 0"),
        ({"counts": {"evaluated": -1}}, r"counts\.evaluated must be at least 0, got -1"),
        (
            {"labels": {"column": "label", "threshold": float("inf"), "classes": ["a", "b"]}},
            r"labels\.threshold must be",
        ),
        ({"reserve": 1}, r"reserve must be in \[0, 1\), got 1"),
        ({"text": ["txt"]}, "txt used, but not in `columns`"),
        ({"prompts": [{"name": "a", "context": "{q[0]}", "choices": [" a", " b"]}]}, "q used, but not in `columns`"),
        ({"labels": {"column": "label"}}, "exactly one of `values`, `keys`, `sign_minimum`, `threshold`"),
        ({"labels": {"column": "label", "values": [0], "classes": ["a", "b"]}}, "1 label values for 2 classes"),
        ({"labels": {"column": "label", "sign_minimum": 0, "classes": ["a", "b"]}}, "`sign_minimum` must be positive"),
        ({"prompts": [{"name": "a", "context": "{text}"}]}, "exactly one of `choices`, `choices_from`"),
        ({"prompts": [{"name": "a", "context": "{text}", "choices": [" a"]}]}, "has 1 choices for 2 labels"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetSchemaError, match=f"data set 'toy': .*{message}"):
        read_dataset_yaml("toy", yaml.safe_dump({**TOY, **change}))


@pytest.mark.parametrize(("text", "message"), [("a: [", "its file is not YAML"), ("- a", "the file must be a mapping")])
def test_what_is_no_mapping_is_named(text: str, message: str) -> None:
    with pytest.raises(DatasetSchemaError, match=message):
        read_dataset_yaml("toy", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: toy, about: a, licence: b}", "it has no source"),
        ("{name: dog, about: a, licence: b, offline: {asset: a, file: b}}", "its name is 'dog'"),
        ("{name: toy, about: a, licence: b, offline: {asset: a, file: b}, strip: ['(']}", "is no regular expression"),
        ("{name: toy, about: a, licence: b, made: generated, prompts: [sst2]}", "it has more than one source"),
        ("{name: toy, about: a, licence: b, made: by hand}", "made must be one of random_tokens, generated"),
    ],
)
def test_wrong_calibration_sets_are_named(text: str, message: str) -> None:
    with pytest.raises(DatasetSchemaError, match=message):
        read_calibration_yaml("toy", text)


def test_unknown_names_name_the_nearest() -> None:
    with pytest.raises(UnknownDatasetError, match="unknown data set 'sst'; did you mean 'sst2'"):
        dataset_spec("sst")
    with pytest.raises(UnknownCalibrationError, match="unknown calibration set 'wikki'; did you mean 'wiki'"):
        calibration_spec("wikki")


def test_names_are_those_of_the_first_issue() -> None:
    assert {"sst2", "movie_reviews", "amazon_reviews", "mrpc", "piqa", "bbc_news"} <= set(dataset_names())
    assert {"c4", "code", "multilingual", "technical", "tiny", "wiki"} <= set(calibration_names())
