"""evaluate: from names to rows, on hand-written items."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from tests.models import letter_tokenizer

from semprune.errors import ConfigurationError, NonFiniteError, TooManyLeftOutError, UnknownDatasetError
from semprune.evaluation.engine.loglikelihood import loglikelihood
from semprune.evaluation.evaluate import evaluate, predict_items
from semprune.evaluation.results.summarise import MEASUREMENT_COLUMNS, summarise
from semprune.types import Item

LETTERS = "abcdefghijklmnopqrstuvwxyz .:"


@pytest.fixture(scope="module")
def lm(llama):
    tokenizer = letter_tokenizer(LETTERS, bos_token="<s>", eos_token="<s>")
    return SimpleNamespace(name="tiny", model=llama, tokenizer=tokenizer, max_length=64)


def items(count=9):
    texts = [f"film {LETTERS[index]} was" for index in range(count)]
    return [
        Item("sst2", f"{index:02d}", str(index), ((text, " bad"), (text, " good")), index % 2, "harness")
        for index, text in enumerate(texts)
    ]


def test_predictions_equal_loglikelihood_of_the_requests(lm):
    table = predict_items(lm, items(), token_budget=40)
    requests = [request for item in items() for request in item.requests]
    expected = [value for value, _ in loglikelihood(lm.model, lm.tokenizer, requests)]
    assert [score for row in table["scores"] for score in row] == pytest.approx(expected, abs=1e-5)
    assert table["lengths"].tolist() == [[3, 4]] * 9
    assert loglikelihood(lm, None, requests) == loglikelihood(lm.model, lm.tokenizer, requests)


def test_rows_of_a_named_data_set(lm, monkeypatch):
    asked = []

    def load(name, *, limit, seed, prompt, shots, chat, tokenizer):
        asked.append((name, limit, seed, prompt, shots, chat))
        assert tokenizer is lm.tokenizer
        return items()

    monkeypatch.setitem(evaluate.__wrapped__.__globals__, "load_items", load)
    result = evaluate(lm, ["sst2"], limit=9, seed=4, shots=1, chat=True)
    assert asked == [("sst2", 9, 4, None, 1, True)]
    assert evaluate(lm, "sst2", limit=9, seed=4, shots=1, chat=True).equals(result)
    assert tuple(result.columns) == ("backbone", *MEASUREMENT_COLUMNS)
    assert set(result["metric"]) >= {"accuracy", "calibrated_accuracy", "auroc"}
    assert result[["backbone", "dataset", "family", "prompt"]].drop_duplicates().values.tolist() == [
        ["tiny", "sst2", "sentiment", "harness"]
    ]
    table = predict_items(lm, items())
    accuracy = (table["prediction"] == table["label"]).mean()
    assert result.loc[result["metric"] == "accuracy", "value"].tolist() == [accuracy]
    assert (result["n"] == 9).all()


def test_an_unknown_data_set_stops_before_anything_is_loaded(lm):
    with pytest.raises(UnknownDatasetError, match="did you mean 'sst2'"):
        evaluate(lm, ["sst3"])


def test_progress_is_shown_on_a_terminal_only(lm):
    terminal, file = io.StringIO(), io.StringIO()
    predict_items(lm, items(), console=Console(file=terminal, force_terminal=True))
    predict_items(lm, items(), console=Console(file=file))
    assert "9/9 items scored" in terminal.getvalue()
    assert file.getvalue() == ""


def test_any_model_in_memory_is_evaluated_with_its_tokenizer(lm, llama, monkeypatch):
    monkeypatch.setitem(evaluate.__wrapped__.__globals__, "load_items", lambda *_, **__: items())
    bare = evaluate(llama.train(), ["sst2"], tokenizer=lm.tokenizer)
    assert all(module.training for module in llama.modules())  # left as it was
    llama.eval()
    own = evaluate(lm, ["sst2"])
    assert bare["backbone"].unique().tolist() == ["LlamaForCausalLM"]
    assert bare["value"].tolist() == pytest.approx(own["value"].tolist(), nan_ok=True)
    with pytest.raises(ConfigurationError, match="Pass `tokenizer`"):
        evaluate(llama, ["sst2"])
    with pytest.raises(ConfigurationError, match="tokenizer of its own"):
        evaluate(lm, ["sst2"], tokenizer=object())


def test_the_result_says_what_it_cost(lm, monkeypatch, caplog):
    monkeypatch.setitem(evaluate.__wrapped__.__globals__, "load_items", lambda *_, **__: items())
    with caplog.at_level("INFO", logger="semprune.evaluation"):
        cost = evaluate(lm, ["sst2"]).attrs["throughput"]
    # "film x was" and " bad" or " good" without the last letter, one token a letter: 10 + 3 and 10 + 4 tokens read, the
    # context once; "film " is less than half of the next item and is not shared across items
    assert (cost["requests"], cost["read"], cost["tokens"]) == (18, 9 * 27, 9 * (10 + 1 + 2 + 3))
    assert cost["tokens_per_second"] > 0
    assert cost["halved"] == cost["cached"] == 0
    assert "scored 18 requests" in caplog.text


def test_a_model_without_numbers_is_an_error_that_names_the_data_set(tiny_model, lm):
    broken = tiny_model("llama")
    broken.lm_head.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="log-likelihood in 'sst2'"):
        predict_items(SimpleNamespace(name="tiny", model=broken, tokenizer=lm.tokenizer, max_length=64), items())


def test_an_item_that_cannot_be_scored_is_counted_and_the_others_are_measured(lm, monkeypatch, tmp_path):
    unscorable = Item("sst2", "99", "99", (("film z was", ""), ("film z was", " good")), 0, "harness")
    monkeypatch.setitem(evaluate.__wrapped__.__globals__, "load_items", lambda *_, **__: [*items(), unscorable])
    result = evaluate(lm, ["sst2"])
    assert result[["n", "left_out"]].drop_duplicates().values.tolist() == [[9, 1]]
    predictions = predict_items(lm, [*items(), unscorable], cache=tmp_path)
    assert predictions.attrs["left_out"] == {("sst2", "harness"): 1}
    assert predictions["scores"].tolist() == predict_items(lm, items())["scores"].tolist()
    dense_and_pruned = summarise(
        predictions, predictions, families={"sst2": "sentiment"}, metrics={"sst2": ["accuracy"]}
    )
    assert dense_and_pruned[["n", "left_out", "difference"]].values.tolist() == [[9, 1, 0]]
    monkeypatch.setitem(evaluate.__wrapped__.__globals__, "load_items", lambda *_, **__: items())
    assert evaluate(lm, ["sst2"])["left_out"].eq(0).all()
    with pytest.raises(TooManyLeftOutError, match="1 of 3 items"):
        predict_items(lm, [*items(2), unscorable])
