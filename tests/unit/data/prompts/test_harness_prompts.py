"""Contexts, choices and labels are string-equal with those of the field's own evaluation harness, row by row.

The harness's task objects do the rendering; only their download is replaced, by the rows of the offline packages (or
the fixtures, in the hub's own columns, for sets that are on the hub only).
"""

from __future__ import annotations

import copy
import importlib
import logging
from collections.abc import Callable
from typing import Any

import datasets
import pytest
from transformers import PreTrainedTokenizerFast

from semprune.assets import asset_status, ensure_asset
from semprune.data.prompts.chat import as_chat
from semprune.data.prompts.render import find_prompt, render
from semprune.data.registry import DatasetSpec, dataset_names, dataset_spec
from semprune.data.rows.examples import Example, build_examples
from semprune.data.rows.readers import read_files
from semprune.types import Item

pytest.importorskip("lm_eval", reason="un-skip when lm_eval is installed: pip install semprune[bench]")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.assets,
    # Reason: the harness's own code and the libraries it imports warn about themselves.
    pytest.mark.filterwarnings("ignore"),
]
OTHER_NAMES = {"social_i_qa": "social_iqa", "anli": "anli_r1", "paws": "paws_en", "mmlu": "mmlu_{subject}"}
# Its names for tasks that another library (unitxt) renders, as text to generate.
NOT_COMPARED = {"stsb", "ag_news", "dbpedia_14"}
SPLITS = ("train", "validation", "test", "dev", "validation_matched", "train_r1", "dev_r1", "test_r1")
CHAT_TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
WITH_HARNESS = [name for name in dataset_names() if dataset_spec(name).prompts[0].name == "harness"]
Row = dict[str, Any]


@pytest.fixture(scope="module")
def manager() -> Any:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return importlib.import_module("lm_eval.tasks").TaskManager()


def raw_rows(spec: DatasetSpec, written: Callable[[str], dict[str, Any]]) -> list[Row]:
    """Rows with all of the source's own columns."""
    if spec.offline is None:
        return written(spec.name)["hub"]
    if spec.non_commercial and asset_status(spec.offline.asset).state == "absent":
        pytest.skip(f"un-skip when `semprune assets get {spec.offline.asset} --accept-non-commercial` was run")
    rows = read_files(spec.name, spec.offline, ensure_asset(spec.offline.asset))
    # The harness reads SuperGLUE's copy, whose answers are called label.
    return [row | {"label": int(row["answer"])} for row in rows] if spec.name == "boolq" else rows


def harness_task(manager: Any, name: str, rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> Any:
    table = datasets.Dataset.from_list(rows)
    served = datasets.DatasetDict(dict.fromkeys(SPLITS, table))
    monkeypatch.setattr("datasets.load_dataset", lambda *arguments, **settings: served)
    return importlib.import_module("lm_eval.tasks").get_task_dict([name], manager)[name]


def requests_of(task: Any, doc: Row, shots: list[Row]) -> list[tuple[str, str]]:
    if shots:
        task.sampler.sample = lambda n, eval_doc=None: shots
    context = task.fewshot_context(doc, num_fewshot=len(shots))
    return [instance.args for instance in task.construct_requests(doc, context)]


def label_of(task: Any, doc: Row) -> int:
    label = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    return label if isinstance(label, int) else task.doc_to_choice(doc).index(label)


def compare_chat(task: Any, item: Item, doc: Row, tokenizer: PreTrainedTokenizerFast) -> None:
    def turns(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)

    context = task.fewshot_context(doc, num_fewshot=0, apply_chat_template=True, chat_template=turns)
    theirs = [instance.args for instance in task.construct_requests(doc, context, apply_chat_template=True)]
    assert list(as_chat(tokenizer, item).requests) == theirs


def compare(task: Any, spec: DatasetSpec, examples: list[Example], tokenizer: PreTrainedTokenizerFast) -> int:
    docs = list(task.eval_docs)
    prompt = find_prompt(spec, "harness")
    assert len(docs) == len(examples) > 0
    for doc, example in zip(docs, examples, strict=True):
        item: Item = render(spec, example, prompt)
        assert list(item.requests) == requests_of(task, doc, [])
        assert item.label == label_of(task, doc)
    if not prompt.description:
        compare_chat(task, render(spec, examples[0], prompt), docs[0], tokenizer)
    # And with two answered examples in front.
    shown, more = (docs[1:3], examples[1:3]) if len(docs) > 2 else (docs[-1:], examples[-1:])
    assert list(render(spec, examples[0], prompt, more).requests) == requests_of(task, docs[0], shown)
    return len(docs)


@pytest.mark.parametrize("name", WITH_HARNESS)
def test_requests_are_string_equal(
    name: str,
    manager: Any,
    monkeypatch: pytest.MonkeyPatch,
    written: Callable[[str], dict[str, Any]],
    plain_tokenizer: PreTrainedTokenizerFast,
) -> None:
    tokenizer = copy.deepcopy(plain_tokenizer)
    tokenizer.chat_template = CHAT_TEMPLATE
    spec = dataset_spec(name)
    rows = raw_rows(spec, written)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(OTHER_NAMES.get(name, name).format_map(row), []).append(row)
    compared = sum(
        compare(harness_task(manager, task, own, monkeypatch), spec, build_examples(spec, own), tokenizer)
        for task, own in groups.items()
    )
    assert compared == len(rows)
    assert len(groups) == (57 if name == "mmlu" and spec.offline is not None else 1)


def test_every_task_that_the_harness_has_too_is_compared(manager: Any) -> None:
    theirs = set(manager.all_subtasks)
    shared = {name for name in dataset_names() if name in theirs or name in OTHER_NAMES}
    assert shared - NOT_COMPARED <= set(WITH_HARNESS)
