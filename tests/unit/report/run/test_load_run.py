"""Loading a run folder: what is there is checked, what is optional may be absent, what is wrong is named."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from semprune.artefacts import TABLES
from semprune.errors import CorruptArtefactError
from semprune.pruning import method_labels
from semprune.report import load_run, write_report
from semprune.report.page import render_report
from semprune.report.run.labels import MethodLabels
from semprune.report.sections.provenance import provenance_groups

OPTIONAL = [name for name in TABLES if name != "results"]


def test_settings_are_named_and_ordered(built_run):
    run = load_run(built_run)
    assert [setting.label for setting in run.settings] == ["Magnitude 50 %", "Wanda 50 %"]
    assert [setting.phrase for setting in run.settings] == [
        "At 50 % sparsity magnitude pruning",
        "At 50 % sparsity Wanda",
    ]
    assert set(run.results["setting"]) == {"dense", "Magnitude 50 %", "Wanda 50 %"}


def test_labels_name_what_varies_and_only_that(edit):
    def two_calibrations(results):
        wanda = results[results["method"] == "wanda"]
        return pd.concat([results, wanda.assign(calibration="wiki", pattern="2:4")])

    run = load_run(edit("results", two_calibrations))
    assert [setting.label for setting in run.settings] == ["Magnitude 50 %", "Wanda 2:4 · wiki", "Wanda 50 % · c4"]
    assert len({(setting.hue, setting.shape) for setting in run.settings}) == 3


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_artefact_may_be_absent(run_dir, name):
    (run_dir / f"{name}.parquet").unlink(missing_ok=True)  # some only newer runs have
    assert getattr(load_run(run_dir), name) is None


def test_missing_results_name_the_file_and_the_remedy(run_dir):
    (run_dir / "results.parquet").unlink()
    with pytest.raises(CorruptArtefactError, match=r"results\.parquet .*no such file\. Run `semprune study`"):
        load_run(run_dir)


@pytest.mark.parametrize("name", TABLES)
def test_garbage_is_refused_by_name(run_dir, name):
    (run_dir / f"{name}.parquet").write_bytes(b"PAR1 no table at all")
    with pytest.raises(CorruptArtefactError, match=rf"{name}\.parquet is not readable: not a parquet file"):
        load_run(run_dir)


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("results", lambda t: t.drop(columns="p"), "column 'p' is missing"),
        ("results", lambda t: t.assign(n="many"), "column 'n' holds .*string, not integer"),
        ("results", lambda t: t.assign(dataset=[None, *t["dataset"][1:]]), "column 'dataset' has empty entries"),
        ("results", lambda t: t.iloc[:0], "it has no rows"),
        ("results", lambda t: pd.concat([t, t.tail(2)]), "2 rows appear twice, the first is smollm2-135m, magnitude"),
        ("results", lambda t: t.assign(metric="vibes"), r"unknown metric vibes \(known: accuracy"),
        ("causal", lambda t: t.assign(k=t["k"].astype(str)), "column 'k' holds .*string, not integer"),
    ],
)
def test_wrong_contents_are_refused(edit, name, change, fault):
    with pytest.raises(CorruptArtefactError, match=fault):
        load_run(edit(name, change))


@pytest.mark.parametrize("text", ["{", "[1, 2]", "\x00"])
def test_corrupt_provenance_is_refused(run_dir, text):
    (run_dir / "provenance.json").write_text(text)
    with pytest.raises(CorruptArtefactError, match=r"provenance\.json"):
        load_run(run_dir)


def test_categories_and_extra_columns_are_accepted(edit):
    run = load_run(edit("results", lambda t: t.astype({"dataset": "category", "metric": "category"}).assign(more=1)))
    assert "more" not in run.results
    assert "sst2" in set(run.results["dataset"])


def test_a_dense_only_run_says_so(edit):
    page = write_report(edit("results", lambda t: t[t["method"] == "dense"])).read_text(encoding="utf-8")
    assert "No pruned model in this run yet" in page
    assert "No scored data set in this run" in page


def test_numbers_that_are_not_finite_are_shown_as_such(edit):
    def spoil(results):
        hit = (results["metric"] == "perplexity") & (results["method"] == "magnitude")
        results.loc[hit, ["value", "high", "difference", "difference_high"]] = np.inf
        flat = (results["metric"] == "f1") & (results["method"] == "wanda")
        results.loc[flat, ["low", "high", "difference_low", "difference_high", "p"]] = np.nan
        return results

    page = write_report(edit("results", spoil)).read_text(encoding="utf-8")
    assert "∞" in page
    assert "n/a" in page
    assert not re.search(r">nan\b|\[nan|nan%", page)


def test_provenance_is_shown_with_what_is_unknown_here(run_dir):
    content = json.loads((run_dir / "provenance.json").read_text())
    content["settings"] = {"grid": {"methods": ["wanda"], "owl": {"lambda": 0.08}}}
    content["host_note"] = "two <cores>"
    (run_dir / "provenance.json").write_text(json.dumps(content))
    page = write_report(run_dir).read_text(encoding="utf-8")
    for shown in ("8 min 32 s", "3.2 GB", "grid.methods", "grid.owl", "two &lt;cores&gt;", "c4c4c4c4c4c4c4c4…"):
        assert shown in page


def test_calibrations_of_two_sizes_are_settings_of_their_own(edit):
    def twice(results):
        larger = results[results["method"] == "wanda"].assign(calibration_sequences=64)
        return pd.concat([results, larger], ignore_index=True)

    run = load_run(edit("results", twice))
    labels = [setting.label for setting in run.settings]
    assert labels == ["Magnitude 50 %", "Wanda 50 % · 16 sequences", "Wanda 50 % · 64 sequences"]


def test_methods_are_called_and_ordered_as_the_run_recorded(run_dir):
    content = json.loads((run_dir / "provenance.json").read_text())
    content["methods"] = [{"name": "wanda", "label": "Wonder"}]
    (run_dir / "provenance.json").write_text(json.dumps(content))
    run = load_run(run_dir)

    assert [setting.label for setting in run.settings] == ["Wonder 50 %", "magnitude 50 %"]
    assert not any("Wonder" in value for _, value in dict(provenance_groups(run))["Run"])
    (run_dir / "provenance.json").write_text(json.dumps(content | {"methods": ["wanda"]}))
    with pytest.raises(CorruptArtefactError, match="its methods or models cannot be read"):
        load_run(run_dir)


def test_models_are_called_by_their_short_names_on_the_page_and_in_settings(run_dir, edit):
    first = load_run(run_dir).results["backbone"].iloc[0]
    other = "Gemma3ForCausalLM@local:003b1122aabb-9c8d79"
    for table in set(run_dir.glob("*.parquet")) - {run_dir / "results.parquet"}:
        table.unlink()
    edit("results", lambda table: pd.concat([table, table.assign(backbone=other)]))
    models = [{"name": "/home/me/a/gemma", "fingerprint": first}, {"name": "/data/b/gemma", "fingerprint": other}]
    (run_dir / "provenance.json").write_text(json.dumps({"backbones": models}))
    run = load_run(run_dir)
    title = render_report(run).partition("<title>")[2].partition("</title>")[0]
    short = f"gemma ({first.partition(':')[2][:6]})"
    assert title == f"What pruning cost {short} and gemma (003b11)"
    assert {setting.label for setting in run.settings} == {
        f"{method} 50 % · {model}" for method in ("Magnitude", "Wanda") for model in (short, "gemma (003b11)")
    }
    models[1]["name"] = "org/gemma-3"
    (run_dir / "provenance.json").write_text(json.dumps({"backbones": models}))
    assert load_run(run_dir).model_name(other) == "org/gemma-3"
    assert load_run(run_dir).model_name("unknown") == "unknown"


def test_the_labels_of_runs_that_recorded_none_are_those_of_the_methods():
    assert MethodLabels().labels == method_labels()
    assert list(MethodLabels().labels) == list(method_labels())
