"""A chosen strength: its curve is that of whole prunings, and a streamed model has that of one in memory."""

from dataclasses import replace

import pytest
import torch
from tests import models
from tests.unit.pruning.guidance.test_fisher import IDS, MASK, linears_of, odds_at, protected
from tests.unit.pruning.streamed.streamed_runs import contents, plan_of, prune_into, saved
from transformers import AutoModelForCausalLM

from semprune.errors import ProtectionBudgetError, SettingError
from semprune.pruning import dense_statistics, load_masks, prune_model
from semprune.pruning.calibration import check_calibration
from semprune.pruning.guidance.fisher import Fisher, WeighedText, fisher_weights
from semprune.pruning.guidance.protected_text import ProtectedText
from semprune.pruning.guidance.protection import Protection, parse_protection
from semprune.pruning.guidance.sharing import general_text
from semprune.pruning.guidance.strength import CANDIDATES, StrengthChoice, Tried
from semprune.pruning.in_memory import prune_model as pruning
from semprune.pruning.streamed.memory_estimate import estimate_memory

SEQUENCES = torch.randint(3, 40, (9, 12), generator=torch.Generator().manual_seed(1))
LEARNED, HELD = [0, 1, 2, 4, 5, 6, 8], [3, 7]
ASKED = Protection("toy", strength="auto", budget=5.0)


def text(strength="auto"):
    """Three batches, of which the last is held out."""
    more = odds_at(IDS[:2] + 1, MASK[:2], [4, 2])
    return ProtectedText("toy", strength, (*protected().batches, more))


def pruned(monkeypatch, protect, own, ids=SEQUENCES, model=None, **settings):
    monkeypatch.setattr(pruning, "protected_texts", lambda *asked: (own,) if asked[1].protect else ())
    model = models.llama() if model is None else model
    settings = {"method": "wanda", "sparsity": 0.5, **settings}
    return model, prune_model(model, ids, protect=protect, **settings)


def learned(strength):
    """The batches that are not held out, of which the weights of the whole text's outputs are known."""
    if not strength:
        return ()
    model, own = models.llama(), replace(text(strength), batches=text().batches[:2])
    whole = fisher_weights(model, linears_of(model), text(strength))
    return (WeighedText(own, Fisher({name: tau[:3] for name, tau in whole.tokens.items()}, whole.outputs)),)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_the_curve_is_that_of_prunings_of_the_whole_model(monkeypatch, method):
    _, report = pruned(monkeypatch, ASKED, text(), method=method)
    choice = report.settings["protected_strength"]
    dense = models.llama()
    tokens = check_calibration(SEQUENCES, None, None, 40)
    general = fisher_weights(dense, linears_of(dense), general_text(tokens))
    assert [each["strength"] for each in choice["tried"]] == [0.0, *CANDIDATES]
    for strength, tried in {None: choice["dense"], 0.0: choice["tried"][0], 1.0: choice["tried"][4]}.items():
        model = models.llama()
        if strength is not None:
            monkeypatch.setattr(pruning, "weigh", lambda *_, s=strength, **__: learned(s))
            monkeypatch.setattr(pruning, "weigh_general", lambda *_, **__: general)
            protect = "toy" if strength else None
            model, _ = pruned(monkeypatch, protect, text(1.0), SEQUENCES[LEARNED], method=method, statistics="dense")
        logits = model(input_ids=SEQUENCES[HELD]).logits[:, :-1].log_softmax(-1)
        nll = -logits.gather(-1, SEQUENCES[HELD][:, 1:, None]).mean()
        assert tried["perplexity"] == pytest.approx(nll.exp().item(), rel=1e-5)
        kept = text().batches[2]
        scored = kept.score(model(input_ids=kept.input_ids, attention_mask=kept.attention_mask).logits[kept.places])
        assert tried["kept"] == pytest.approx(scored.item() / 2, abs=1e-5)


def test_it_is_pruned_with_the_strength_that_keeps_most_within_the_budget(monkeypatch):
    _, report = pruned(monkeypatch, ASKED, text())
    choice = report.settings["protected_strength"]
    most = max(choice["tried"][1:], key=lambda tried: tried["kept"])
    assert choice["strength"] == most["strength"]
    _, again = pruned(monkeypatch, "toy", text(choice["strength"]))
    assert again.mask_hash == report.mask_hash


def test_what_cannot_be_chosen_is_refused_with_what_helps(monkeypatch):
    with pytest.raises(SettingError, match="fewer than 4 sequences"):
        pruned(monkeypatch, ASKED, text(), SEQUENCES[:3])
    with pytest.raises(SettingError, match="a number where several prunings share statistics"):
        dense_statistics(models.llama(), SEQUENCES, methods=["ria"], protect=ASKED)
    monkeypatch.setattr("semprune.pruning.strength_search._Ruler._perplexity", dearer())
    with pytest.raises(ProtectionBudgetError, match=r"within \+2.0% perplexity: the cheapest, 0.1, costs \+100"):
        pruned(monkeypatch, replace(ASKED, budget=0.02), text())


def test_of_several_names_each_answer_or_word_counts_alike_and_a_given_strength_not_at_all(monkeypatch):
    """A text that is scored at four times as many places says no more than one that is scored at one of each."""

    def kept(*texts):
        monkeypatch.setattr(pruning, "protected_texts", lambda *_: texts)
        report = prune_model(models.llama(), SEQUENCES, method="wanda", sparsity=0.5, protect=ASKED)
        return [tried["kept"] for tried in report.settings["protected_strength"]["tried"][:1]]

    def scored(name, strength, times, counted):
        batches = tuple(
            replace(batch, score=lambda logits, own=batch: times * own.score(logits), count=counted * batch.count)
            for batch in text().batches
        )
        return ProtectedText(name, strength, batches)

    many, given = scored("many", "auto", 4, 4), scored("given", 1.0, 4, 1)
    assert kept(text(), many) == pytest.approx(kept(text()))
    assert kept(text(), given) == pytest.approx(kept(text()))


def test_a_choice_says_where_no_strength_gains_anything():
    dense, unguided = Tried(0.0, 20.0, 1.0), Tried(0.0, 40.0, 0.5)
    worse, better = ([unguided, Tried(0.3, 40.0, kept)] for kept in (0.4, 0.6))
    assert "gains nothing here" in "\n".join(StrengthChoice.of(dense, worse, 0.02).lines())
    assert "gains nothing here" not in "\n".join(StrengthChoice.of(dense, better, 0.02).lines())


def dearer():
    values = iter([1.0, 10.0, *(10.0 * more for more in (2, 3, 4, 5, 6))])
    return lambda *_: next(values)


@pytest.mark.parametrize("asked", [{"strength": "most"}, {"strength": 0}, {"budget": 0}, {"budget": -1.0}])
def test_impossible_strengths_and_budgets_are_refused(asked):
    with pytest.raises(SettingError, match=f"protect.{next(iter(asked))} must be"):
        Protection("toy", **asked)
    assert parse_protection("toy*auto") == Protection("toy", strength="auto")


def test_a_streamed_model_has_the_choice_of_one_in_memory_stopped_or_not(tmp_path, monkeypatch):
    folder = saved(tmp_path / "model")
    plan = replace(plan_of(folder, "wanda", protect=(ASKED,)), protected=(text(),))
    ids = plan.tokens.input_ids
    model = AutoModelForCausalLM.from_pretrained(folder)
    _, report = pruned(monkeypatch, ASKED, text(), ids, model, batch_size=4)

    whole = prune_into(tmp_path / "whole", plan)
    stored = load_masks(whole.path)
    assert stored.settings["protected_strength"]["strength"] == report.settings["protected_strength"]["strength"]
    assert {name: torch.equal(mask, stored.masks[name]) for name, mask in report.masks.items()} == dict.fromkeys(
        report.masks, True
    )

    def stop(block):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_into(tmp_path / "out", plan, stop)
    monkeypatch.setattr("semprune.pruning.streamed.strength.search_strength", None)  # it is not searched again
    assert contents(prune_into(tmp_path / "out", plan).path) == contents(whole.path)

    about = {"calibrated": True, "batch_size": 4, "length": 10, "base_bytes": 0}
    steps = estimate_memory(plan.streamed, plan.method, **about, protected=plan.protected).steps
    assert "one block, its copy and the text that strengths are tried on" in steps
