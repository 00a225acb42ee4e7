"""The summary claims a change only where its interval excludes zero, with the stored numbers."""

import pandas as pd
import pytest

from semprune.report import load_run
from semprune.report.run.formats import TIMES
from semprune.report.summary.findings import findings


def sentences(folder):
    return [str(finding) for finding in findings(load_run(folder))]


def shifted(factor):
    """Scale every difference and its interval: 0 leaves no clear change, −1 turns losses into gains."""

    def change(results):
        columns = ["difference", "difference_low", "difference_high"]
        half = (results["difference_high"] - results["difference_low"]) / 2
        results["difference"] *= factor
        results["difference_low"], results["difference_high"] = (
            results["difference"] - half,
            results["difference"] + half,
        )
        results["value"] = results["dense"] + results["difference"]
        return results.astype({column: float for column in columns})

    return change


def test_losses_are_named_with_their_interval(built_run):
    # Wanda loses 24 % of what exceeds 0.5 of AUROC 0.921, 0.911 and 0.872: 10.1, 9.9 and 8.9 points, mean 9.6.
    wanda = next(text for text in sentences(built_run) if text.startswith("At 50 % sparsity Wanda"))
    assert "loses 9.6 points of AUROC on sentiment [8.3,\u00a011.0]" in wanda
    assert "shows no clear change on topic, reasoning or semantic similarity (interval includes zero)" in wanda


def test_no_loss_is_claimed_without_a_clear_difference(edit):
    texts = sentences(edit("results", shifted(0)))
    wanda = next(text for text in texts if text.startswith("At 50 % sparsity Wanda"))
    assert wanda == "At 50 % sparsity Wanda shows no clear change on any task family (interval includes zero)."
    assert "Perplexity on c4 does not clearly change with Magnitude 50 % or Wanda 50 %." in texts
    assert not any("loses" in text for text in texts)


def test_gains_are_called_gains(edit):
    texts = sentences(edit("results", shifted(-1)))
    assert any("Wanda gains 9.6 points of AUROC on sentiment [8.3,\u00a011.0]" in text for text in texts)
    assert any(text.startswith("Perplexity on c4 falls from 31.7 to ") for text in texts)


def test_perplexity_rises_from_dense_to_pruned(built_run):
    assert (
        f"Perplexity on c4 rises from 31.7 to 298 ({TIMES}9.4) with Magnitude 50 % and to 65.0 ({TIMES}2.0) with "
        "Wanda 50 %."
    ) in sentences(built_run)


def test_a_fall_of_accuracy_alone_is_called_a_possible_bias(edit):
    def keep_auroc(results):
        auroc = results["metric"] == "auroc"
        results.loc[auroc, ["difference_low", "difference_high"]] = [-0.5, 0.5]
        return results

    text = next(text for text in sentences(edit("results", keep_auroc)) if text.startswith("Bias"))
    assert "sst2 with Magnitude 50 %" in text
    assert "and 3 more" in text or "and 4 more" in text


@pytest.mark.parametrize(
    ("low", "verdict", "text"),
    [(0.01, "worse", "4 of 4 concepts lose clearly more"), (-0.01, "unclear", "none of 4 concepts loses clearly more")],
)
def test_meanings_count_only_clear_excess(edit, low, verdict, text):
    run = load_run(edit("semantic_loss", lambda t: t.assign(xsl=0.02, xsl_low=low, xsl_high=0.03)))
    found = [finding for finding in findings(run) if finding.subject.startswith("Meanings")]
    assert [finding.verdict for finding in found] == [verdict, verdict]
    assert all(text in finding.text for finding in found)


@pytest.mark.parametrize(("high", "verdict"), [(-0.01, "holds"), (0.01, "unclear")])
def test_the_causal_check_holds_only_if_the_paired_difference_excludes_zero(edit, high, verdict):
    def excess(causal):
        rows = (causal["selection"] == "association") & (causal["metric"] == "auroc")
        causal.loc[rows, ["excess_low", "excess_high"]] = -0.117, high
        return causal

    (found,) = [each for each in findings(load_run(edit("causal", excess))) if each.subject == "Causal check:"]
    assert found.verdict == verdict
    assert "from 91.1 to 81.5; matched random neurons give 90.8." in found.text
    assert "The paired difference is -9.3 [-11.7" in found.text.replace("\u2212", "-")
    assert "(p 0.004), that in perplexity" in found.text


def test_learned_gates_have_a_sentence_of_their_own(edit):
    def learned(causal):
        gates = causal[causal["selection"] == "association"].assign(selection="gates", value=0.6)
        return pd.concat([causal, gates])

    found = {each.subject: each.text for each in findings(load_run(edit("causal", learned)))}
    assert found["Causal gates:"].startswith(
        "ablating the 1.0\u00a0% of neurons that were learned to carry sentiment takes"
    )
    assert "from 91.1 to 60.0; matched random neurons give 90.8." in found["Causal gates:"]
    assert "from 91.1 to 81.5" in found["Causal check:"]


def test_many_settings_get_one_sentence_per_family(edit):
    def grid(results):
        wanda = results[results["method"] == "wanda"]
        return pd.concat([results, *(wanda.assign(sparsity=share) for share in (0.3, 0.6, 0.7))])

    texts = sentences(edit("results", grid))
    assert any(text.startswith("Sentiment clearly loses under 5 of 5 settings; ") for text in texts)
    assert any(text.startswith("Topic clearly loses under 1 of 5 settings; ") for text in texts)
    assert sum(text.startswith("At ") for text in texts) == 0
