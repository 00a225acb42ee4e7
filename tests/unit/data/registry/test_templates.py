"""Templates hold columns and keys; what computes, reaches into Python or makes gigabytes is refused when it is read."""

import pytest
import yaml
from tests.unit.data.registry.test_parse import TOY

from semprune.data.registry.catalogue import read_dataset_yaml
from semprune.data.registry.templates import template_rules
from semprune.errors import DatasetSchemaError

ASK = {"name": "ask", "context": "{text} is", "choices": [" dog", " cat"]}


@pytest.mark.parametrize("template", ["{text}", "{choices[text][0]}", "{{literal}} {text}", "", "50 % !r :>9"])
def test_columns_keys_and_doubled_braces_are_fine(template):
    assert list(template_rules("context", template)) == []


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{text:999999999}", "has a format"),
        ("{text:{text}}", "has a format"),
        ("{text!r}", "has a format"),
        ("{text.__class__.__mro__}", "no column, and no key of one"),
        ("{text[0].real}", "no column, and no key of one"),
        ("{text[__class__ ]}", "no column, and no key of one"),
        ("{}", "no column, and no key of one"),
        ("{text", "is no template"),
        ("text}", "is no template"),
    ],
)
@pytest.mark.parametrize("place", ["context", "description", "choices", "contexts"])
def test_everything_else_is_refused_wherever_it_stands(template, said, place):
    prompt = ASK | {place: [template, template] if place in ("choices", "contexts") else template}
    with pytest.raises(DatasetSchemaError, match=said):
        read_dataset_yaml("toy", yaml.safe_dump(TOY | {"prompts": [prompt]}))


def test_paths_of_choices_are_refused_too():
    path = {"name": "ask", "context": "{text}", "choices_from": "text.__class__"}
    with pytest.raises(DatasetSchemaError, match=r"choices_from: 'text\.__class__' is no column"):
        read_dataset_yaml("toy", yaml.safe_dump(TOY | {"prompts": [path]}))
    with pytest.raises(DatasetSchemaError, match=r"labels\.keys: 'label\.__doc__' is no column"):
        read_dataset_yaml("toy", yaml.safe_dump(TOY | {"labels": {"column": "label", "keys": "label.__doc__"}}))
