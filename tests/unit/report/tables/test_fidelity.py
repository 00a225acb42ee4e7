"""Fidelity in tables, on the page, in a sentence and in files, of planted rows."""

import pandas as pd
import pytest

from semprune.report import load_run, write_report, write_tables
from semprune.report.summary.fidelity import fidelity_finding
from semprune.report.tables.fidelity import AGAIN, OF_ITEMS, OF_TEXT, fidelity_table, fidelity_text

KEYS = ["backbone", "method", "pattern", "sparsity", "calibration", "calibration_sequences", "calibration_length",
        "seed"]  # fmt: skip
FLOOR = {"kl": 0.001, "same_top": 0.995, "flips": 0.03, "rank_agreement": 0.99}
VALUES = {"magnitude": {"kl": 2.0, "same_top": 0.4, "flips": 0.3, "rank_agreement": 0.5},
          "wanda": {"kl": 0.002, "same_top": 0.7, "flips": 0.05, "rank_agreement": 0.9}}  # fmt: skip


def planted_rows(results):
    """Two measures of a text and of a data set for each model; an interval reaches as far as a tenth or .002."""
    for cell in results[KEYS].drop_duplicates().to_dict("records"):
        values = VALUES.get(cell["method"], FLOOR)
        for measure, floor in FLOOR.items():
            of_text, value = measure in OF_TEXT, values[measure]
            half = 0.002 if measure == "kl" else float("nan") if measure == "rank_agreement" else 0.1
            yield cell | {"dataset": "c4" if of_text else "sst2", "prompt": "" if of_text else "default",
                          "family": "language_modelling" if of_text else "sentiment", "measure": measure,
                          "value": value, "low": value - half, "high": value + half, "n": 100,
                          "floor": floor}  # fmt: skip


@pytest.fixture
def folder(run_dir):
    rows = planted_rows(pd.read_parquet(run_dir / "results.parquet"))
    pd.DataFrame(rows).to_parquet(run_dir / "fidelity.parquet", index=False)
    return run_dir


def test_tables_name_the_noise_floor_first_and_keep_each_interval(folder):
    table = fidelity_table(load_run(folder), OF_TEXT)
    text = fidelity_text(table, OF_TEXT)
    assert text.header == ["text", "model", "n", "KL per token, nats", "same likeliest token, %"]
    assert [row[1] for row in text.rows] == [AGAIN, "Magnitude 50 %", "Wanda 50 %"]
    assert text.rows[1][3] == "2.000 [1.998,\u00a02.002]"
    answers = fidelity_text(fidelity_table(load_run(folder), OF_ITEMS), OF_ITEMS)
    assert answers.rows[2][3:] == ["5.0 [−5.0,\u00a015.0]", "0.90"]


def test_only_what_leaves_the_floor_out_on_the_side_of_damage_is_clear(folder):
    table = fidelity_table(load_run(folder), OF_TEXT)
    clear = table.set_index(["method", "measure"])["clear"]
    assert clear["magnitude"].tolist() == [True, True]
    assert clear["wanda"].to_dict() == {"kl": False, "same_top": True}
    assert not clear["dense"].any()


def test_a_sentence_a_section_and_files(folder):
    run = load_run(folder)
    sentence = fidelity_finding(run)
    assert "60.0\u00a0% [50.0,\u00a070.0] with Magnitude 50 % and 30.0\u00a0%" in sentence.text
    assert sentence.text.endswith("differs from itself at 0.5\u00a0%.")
    assert sentence.verdict == "worse"
    page = write_report(run).read_text(encoding="utf-8")
    assert '<a href="#fidelity">Fidelity</a>' in page
    assert "2.000 [1.998,\u00a02.002]" in page
    write_tables(run)
    stored = pd.read_csv(folder / "tables" / "fidelity_items.csv")
    assert stored.loc[stored["measure"] == "flips", "value"].tolist() == [0.03, 0.3, 0.05]
    assert "fidelity_text.tex" in {path.name for path in (folder / "tables").iterdir()}


def test_a_run_without_fidelity_has_no_section(run_dir):
    run = load_run(run_dir)
    assert fidelity_table(run, OF_TEXT) is None
    assert fidelity_finding(run) is None
    assert 'href="#fidelity"' not in write_report(run).read_text(encoding="utf-8")
