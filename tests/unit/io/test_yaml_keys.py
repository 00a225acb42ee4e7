"""A key that stands twice is an error wherever YAML is read; what is read is as ever."""

from __future__ import annotations

import pytest
import yaml

from semprune.concepts.sources.own import parse_vocabulary
from semprune.data.registry.catalogue import read_dataset_yaml
from semprune.errors import DatasetSchemaError, VocabularySchemaError
from semprune.io.yaml_text import read_yaml


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 1", "x: {a: 1, a: 2}", "- b\n- {a: 1, 'a': 2}", "? [1]\n: {a: 1, a: 1}"]
)
def test_a_key_that_stands_twice_is_an_error_at_any_depth(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"the key 'a' stands twice(.|\n)*line \d"):
        read_yaml(text)


def test_the_same_key_in_two_mappings_an_alias_and_a_merge_are_none() -> None:
    text = "one: &one {a: 1}\ntwo: {<<: *one, b: 2}\nthree: [*one, {a: 3}]\n1: x\n'1': y"
    assert read_yaml(text) == yaml.safe_load(text)
    bomb = "\n".join(["l0: &l0 [x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))])
    with pytest.raises(yaml.YAMLError, match="'l0' stands twice"):  # each alias is followed once: this ends
        read_yaml(f"{bomb}\nl0: y")


def test_declarations_with_a_key_twice_are_refused_by_name() -> None:
    with pytest.raises(DatasetSchemaError, match=r"data set 'toy': .*the key 'family' stands twice"):
        read_dataset_yaml("toy", "name: toy\nfamily: topic\nfamily: sentiment")
    with pytest.raises(VocabularySchemaError, match="the key 'words' stands twice"):
        parse_vocabulary("toy", "{name: toy, about: x, source: x, licence: x, words: [a], words: [b]}")


def test_a_revision_without_quotes_is_told_of_them() -> None:
    text = "{name: toy, family: topic, about: x, licence: x, columns: [a], text: [a], prompts: [], metrics: [], "
    text += "labels: {column: a}, hub: {path: a/b, split: train, revision: 7795000}}"
    with pytest.raises(
        DatasetSchemaError, match=r"hub\.revision must be of type str, got 7795000\. Write it in quotes"
    ):
        read_dataset_yaml("toy", text)
