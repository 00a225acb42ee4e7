"""The field's own harness beside ours: the same log-likelihoods, the same accuracies, and our model in its hands."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models import llama

from semprune import load_backbone
from semprune.backbones import describe
from semprune.data import load_items
from semprune.data.registry import dataset_names, dataset_spec
from semprune.errors import BackboneMismatchError, ConfigurationError
from semprune.evaluation import predict_items
from semprune.evaluation.metrics import measure
from semprune.evaluation.predictions.prediction import choice_scores
from semprune.pruning import StoredMasks, prune_model, save_masks

pytest.importorskip("lm_eval", reason="un-skip when lm_eval is installed: pip install semprune[bench]")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.assets,
    # Reason: the harness's own code and the libraries it imports warn about themselves.
    pytest.mark.filterwarnings("ignore"),
]
OFFLINE = [
    name
    for name in dataset_names()
    if dataset_spec(name).prompts[0].name == "harness"
    and dataset_spec(name).offline is not None
    and not dataset_spec(name).non_commercial
]


@pytest.fixture(scope="module")
def smollm():
    return load_backbone("smollm2-135m")


@pytest.fixture(scope="module")
def tiny(smollm):
    """A random model with SmolLM2's tokenizer."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "max_position_embeddings": 2048}
    model = llama(vocab_size=len(smollm.tokenizer), initializer_range=0.1, **sizes)
    return describe(model, smollm.tokenizer, "tiny")


def harness(lm, kind="HFLM") -> Any:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if kind == "HFLM":
        made = importlib.import_module("lm_eval.models.huggingface").HFLM
        return made(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=4)
    return importlib.import_module("semprune.lm_eval").model_class()(lm)


def theirs(model, items):
    """The harness's log-likelihood of every choice of every item, from its own encoding of the texts."""
    instance = importlib.import_module("lm_eval.api.instance").Instance
    requests = [
        instance("loglikelihood", {}, arguments, place)
        for item in items
        for place, arguments in enumerate(item.requests)
    ]
    found = iter(model.loglikelihood(requests, disable_tqdm=True))
    return [[next(found) for _ in item.requests] for item in items]


def rounding(score):
    """1e-4, or where a sum is so large that fp32, in which the harness adds up, cannot say it as finely: four steps."""
    return max(1e-4, 4 * float(np.spacing(np.float32(abs(score)))))


def accuracies(items, scores):
    """acc and acc_norm by the harness's definitions, in plain Python."""
    hits = norm_hits = 0
    for item, own in zip(items, scores, strict=True):
        hits += own.index(max(own)) == item.label
        normed = [score / len(choice.removeprefix(" ")) for score, (_, choice) in zip(own, item.requests, strict=True)]
        norm_hits += normed.index(max(normed)) == item.label
    return hits / len(items), norm_hits / len(items)


def compare(lm, name, limit):
    items = load_items(name, limit=limit)
    table = predict_items(lm, items).set_index("item_id").loc[[item.item_id for item in items]]
    reference = [[score for score, _ in own] for own in theirs(harness(lm), items)]
    for ours, own in zip(table["scores"], reference, strict=True):
        assert ours == [pytest.approx(score, rel=0, abs=rounding(score)) for score in own]
    scored = choice_scores(table)
    expected = accuracies(items, reference)
    assert (float(measure("accuracy", scored)), float(measure("acc_norm", scored))) == pytest.approx(expected)


@pytest.mark.parametrize("name", OFFLINE)
def test_every_log_likelihood_and_accuracy_is_the_harnesss_on_a_random_model(name, tiny):
    compare(tiny, name, 24)


@pytest.mark.parametrize("name", OFFLINE)
def test_every_log_likelihood_and_accuracy_is_the_harnesss_on_smollm2(name, smollm):
    compare(smollm, name, 6)


TASK = """
task: toy
dataset_path: json
dataset_kwargs: {{data_files: {rows}}}
test_split: train
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: label
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""


@pytest.fixture(scope="module")
def pruned(tiny, tmp_path_factory):
    """A folder with a backbone, masks and a task of the harness, and the pruned model in memory."""
    folder = tmp_path_factory.mktemp("pruned")
    tiny.model.save_pretrained(folder / "backbone")
    tiny.tokenizer.save_pretrained(folder / "backbone")
    lm = load_backbone(str(folder / "backbone"))
    report = prune_model(lm.model, torch.arange(40).reshape(2, 20) + 300, method="magnitude", sparsity=0.7)
    save_masks(folder / "masks.safetensors", StoredMasks(report.masks, lm.fingerprint, "magnitude", {}))
    (folder / "tasks").mkdir()
    items = load_items("arc_easy", limit=40)
    rows = [
        {
            "question": item.requests[0][0],
            "choices": [c.removeprefix(" ") for _, c in item.requests],
            "label": item.label,
        }
        for item in items
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "tasks" / "toy.yaml").write_text(TASK.format(rows=folder / "rows.jsonl"))
    return folder, lm, items


def test_the_harness_runs_a_masked_backbone_from_its_command_line(pruned, tiny):
    folder, lm, items = pruned
    settings = f"backbone={folder}/backbone,masks={folder}/masks.safetensors"
    command = [sys.executable, "-m", "semprune.lm_eval", "run", "--model", "semprune", "--model_args", settings]
    command += ["--tasks", "toy", "--include_path", f"{folder}/tasks", "--output_path", f"{folder}/out"]
    path = os.pathsep.join([str(Path("src").absolute()), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HOME": f"{folder}/home"}
    done = subprocess.run(command, check=False, env=environment, timeout=500, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [written] = (folder / "out").rglob("results*.json")
    said, name = json.loads(written.read_text()), f"{folder}/backbone,{folder}/masks.safetensors"
    assert (said["model_name"], written.parent.name) == (name, name.replace("/", "__"))
    results = said["results"]["toy"]
    reference = [[score for score, _ in own] for own in theirs(harness(lm), items)]
    assert (results["acc,none"], results["acc_norm,none"]) == pytest.approx(accuracies(items, reference))
    dense = [[score for score, _ in own] for own in theirs(harness(tiny), items)]
    assert accuracies(items, dense) != pytest.approx(accuracies(items, reference))  # so the masks were applied


def test_log_likelihoods_greedy_flags_and_rolling_windows_are_the_harnesss_own(pruned):
    _, lm, items = pruned
    ours, reference = harness(lm, "semprune"), harness(lm)
    for own, other in zip(theirs(ours, items), theirs(reference, items), strict=True):
        assert own == [(pytest.approx(score, rel=0, abs=rounding(score)), greedy) for score, greedy in other]
    assert ours.engine.throughput.tokens < ours.engine.throughput.read
    instance = importlib.import_module("lm_eval.api.instance").Instance
    texts = [instance("loglikelihood_rolling", {}, (item.requests[0][0],), 0) for item in items[:4]]
    rolled = ours.loglikelihood_rolling(texts, disable_tqdm=True)
    expected = reference.loglikelihood_rolling(texts, disable_tqdm=True)
    assert rolled == [pytest.approx(score, rel=0, abs=rounding(score)) for score in expected]
    short = importlib.import_module("semprune.lm_eval").model_class()(lm, max_length=16)
    cut = importlib.import_module("lm_eval.models.huggingface").HFLM(
        pretrained=lm.model, tokenizer=lm.tokenizer, max_length=16
    )
    for own, other in zip(theirs(short, items[:8]), theirs(cut, items[:8]), strict=True):
        assert own == [(pytest.approx(score, rel=0, abs=rounding(score)), greedy) for score, greedy in other]


def test_whole_texts_have_one_bos_which_is_not_scored(pruned):
    """The harness puts its own before the tokenizer's and scores the latter as text: one log-probability more."""
    _, lm, _ = pruned
    tokenizer = copy.deepcopy(lm.tokenizer)
    tokenizer.add_bos_token = True
    beginning = dataclasses.replace(lm, tokenizer=tokenizer)
    [text] = [
        importlib.import_module("lm_eval.api.instance").Instance("loglikelihood_rolling", {}, ("A warm film",), 0)
    ]
    [own] = harness(beginning, "semprune").loglikelihood_rolling([text], disable_tqdm=True)
    [theirs] = harness(beginning).loglikelihood_rolling([text], disable_tqdm=True)
    bos, ids = tokenizer.bos_token_id, tokenizer("A warm film")["input_ids"]
    with torch.no_grad():
        twice = lm.model(torch.tensor([[bos, *ids[:-1]]])).logits[0].log_softmax(-1)
        once = lm.model(torch.tensor([ids[:-1]])).logits[0].log_softmax(-1)
    assert theirs == pytest.approx(float(twice.gather(-1, torch.tensor(ids)[:, None]).sum()), abs=1e-3)
    assert own == pytest.approx(float(once.gather(-1, torch.tensor(ids[1:])[:, None]).sum()), abs=1e-3)


def test_masks_of_other_weights_and_masks_that_are_not_all_are_refused(pruned, tmp_path):
    adapter = importlib.import_module("semprune.lm_eval")
    folder, _, _ = pruned
    stored = importlib.import_module("semprune.pruning").load_masks(folder / "masks.safetensors")
    other = dataclasses.replace(stored, fingerprint=dataclasses.replace(stored.fingerprint, weights_sha256="0" * 64))
    save_masks(tmp_path / "other.safetensors", other)
    save_masks(tmp_path / "updated.safetensors", dataclasses.replace(stored, method="sparsegpt"))
    with pytest.raises(BackboneMismatchError):
        adapter.masked_backbone(f"{folder}/backbone", str(tmp_path / "other.safetensors"))
    with pytest.raises(ConfigurationError, match="folder of the pruned model"):
        adapter.masked_backbone(f"{folder}/backbone", str(tmp_path / "updated.safetensors"))
