"""The names that other people's code relies on, and that pages and examples lead to them only."""

import re

import pytest
from tests.docs.pages import HOW_TO, ROOT

import semprune
import semprune.attribution

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
READERS = [*HOW_TO, ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *EXAMPLES]


def test_completion_shows_every_public_name():
    assert set(semprune.__all__) <= set(dir(semprune))
    assert {"NeuronSemanticAttribution", "EvaluationDataModule", "Wanda", "HoldMasks", "explain"} <= set(dir(semprune))
    assert not [name for name in dir(semprune) if name.startswith("_") and not name.endswith("__")]
    assert set(semprune.attribution.__all__) <= set(dir(semprune.attribution))  # loaded when used


@pytest.mark.parametrize("name", semprune.__all__)
def test_a_public_name_is_there_and_says_what_it_is(name):
    assert getattr(semprune, name).__doc__


def test_a_name_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(AttributeError, match=r"no attribute 'prune'; it has .*prune_model"):
        semprune.prune  # noqa: B018


@pytest.mark.parametrize("page", READERS, ids=lambda page: page.stem)
def test_what_people_are_shown_stands_in_the_package_or_a_room(page):
    found = re.findall(r"^\s*from (semprune[\w.]*) import", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert [module for module in found if module.count(".") > 1] == []
