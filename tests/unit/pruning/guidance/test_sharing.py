"""Matrices and their rows share a sparsity by what hangs on them; the model has the sparsity that it had."""

import pytest
import torch
from tests import models
from tests.unit.pruning.guidance.test_fisher import guided, linears_of

from semprune.errors import SettingError
from semprune.pruning import dense_statistics, prune_from, prune_model
from semprune.pruning.calibration import check_calibration
from semprune.pruning.guidance import sharing
from semprune.pruning.guidance.fisher import fisher_weights
from semprune.pruning.guidance.sharing import general_text

IDS = torch.randint(3, 40, (3, 7), generator=torch.Generator().manual_seed(5))
NAME = "model.layers.0.mlp.up_proj"


def outputs(model, ids, mask=None):
    return fisher_weights(model, linears_of(model), general_text(check_calibration(ids, mask, None, 40))).outputs


def test_general_text_is_squared_slopes_of_its_log_probability_and_padding_is_none_of_it():
    model = models.llama()
    seen = []
    handle = model.get_submodule(NAME).register_forward_hook(lambda *args: seen.append(args[2]))
    found = torch.zeros(24)
    for row in IDS:
        logprobs = model(input_ids=row[None]).logits[0].log_softmax(-1)
        score = sum(logprobs[place, row[place + 1]] for place in range(6))
        found += torch.autograd.grad(score, seen.pop())[0][0].square().sum(0)
    handle.remove()
    torch.testing.assert_close(outputs(model, IDS)[NAME], found, rtol=1e-4, atol=1e-8)
    padded = torch.nn.functional.pad(IDS, (2, 3))
    mask = torch.nn.functional.pad(torch.ones_like(IDS), (2, 3))
    torch.testing.assert_close(outputs(model, padded, mask)[NAME], found, rtol=1e-3, atol=1e-7)


def test_general_text_is_the_first_tokens_behind_padding_and_none_of_no_weight(monkeypatch):
    monkeypatch.setattr(sharing, "MOST_TOKENS", 5)
    model = models.llama()
    padded = torch.nn.functional.pad(IDS, (6, 0))
    mask = torch.nn.functional.pad(torch.ones_like(IDS), (6, 0))
    expected = outputs(model, IDS[:, :5])[NAME]
    torch.testing.assert_close(outputs(model, padded, mask)[NAME], expected, rtol=1e-3, atol=1e-7)
    weights = torch.ones(3, 7)
    weights[:, 3:] = 0
    batches = general_text(check_calibration(IDS, None, weights, 40)).batches
    assert [batch.right.tolist() for batch in batches] == IDS[:, 1:3].tolist()
    with pytest.raises(SettingError, match="whose tokens follow"):
        general_text(check_calibration(IDS[:, :1], None, None, 40))


def gone(report):
    return sum(int((~mask).sum()) for mask in report.masks.values())


def test_products_are_mean_squares_of_what_a_matrix_reads_times_those_of_its_weights():
    model, seen = models.llama(), []
    handle = model.get_submodule(NAME).register_forward_hook(lambda *args: seen.append(args[1][0]))
    for row in IDS:
        model(input_ids=row[None])
    handle.remove()
    expected = torch.cat(seen).square().mean() * model.get_submodule(NAME).weight.square().mean()
    found = fisher_weights(model, linears_of(model), general_text(check_calibration(IDS, None, None, 40)))
    torch.testing.assert_close(found.products[NAME], expected, rtol=1e-4, atol=1e-9)
    padded, mask = (torch.nn.functional.pad(each, (2, 3)) for each in (IDS, torch.ones_like(IDS)))
    again = fisher_weights(model, linears_of(model), general_text(check_calibration(padded, mask, None, 40)))
    torch.testing.assert_close(again.products[NAME], expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("allocation", ["uniform", "owl"])
def test_matrices_and_rows_share_what_the_model_has(monkeypatch, allocation):
    model = models.llama(hidden_size=32, intermediate_size=64)
    settings = {"allocation": allocation, **({"owl_multiple": 1.5} if allocation == "owl" else {})}
    report, _, ids = guided(model, monkeypatch, sparsity=0.5, **settings)
    rows = report.masks[NAME].sum(1)
    assert rows.unique().numel() > 1
    again = models.llama(hidden_size=32, intermediate_size=64)
    monkeypatch.undo()
    plain = prune_model(again, ids, method="wanda", sparsity=0.5)
    assert plain.masks[NAME].sum(1).unique().numel() == 1
    if allocation == "uniform":
        assert len(set(report.sparsity.values())) > len(set(plain.sparsity.values())) == 1
        assert gone(report) == gone(plain)


def test_runs_of_a_pattern_are_left_as_they_are(monkeypatch):
    report, _, _ = guided(models.llama(), monkeypatch, sparsity=None, pattern="2:4")
    assert (report.masks[NAME].view(-1, 4).sum(1) == 2).all()


@pytest.mark.parametrize("method", ["wanda", "ria", "sparsegpt"])
def test_general_names_nothing_but_lets_rows_share_under_every_method(monkeypatch, method):
    ids = torch.randint(3, 40, (5, 12), generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr("semprune.pruning.in_memory.guiding.subject_of", lambda *_: Subject())
    settings = {"sparsity": 0.5, "statistics": "dense", "protect": "general", "tokenizer": object()}
    report = prune_model(models.llama(), ids, method=method, **settings)
    unguided = prune_model(models.llama(), ids, method=method, sparsity=0.5, statistics="dense")
    assert gone(report) == gone(unguided)
    assert report.mask_hash != unguided.mask_hash
    collected = dense_statistics(models.llama(), ids, methods=[method], protect="general", tokenizer=object())
    assert prune_from(models.llama(), collected, method=method, sparsity=0.5).mask_hash == report.mask_hash


def test_general_is_refused_with_a_pattern_whose_runs_share_nothing():
    settings = {"pattern": "2:4", "statistics": "dense", "protect": "general", "tokenizer": object()}
    with pytest.raises(SettingError, match="general lets rows share a sparsity, and runs of a pattern share nothing"):
        prune_model(models.llama(), IDS, method="wanda", **settings)


class Subject:
    tokenizer, max_length = None, 64
