"""What a run measured goes into the card of the folder that was pruned in the same way, and into no other."""

import re
import shutil

import pandas as pd
import pytest
from huggingface_hub import metadata_load
from tests.unit.report.tables.test_skill import retained_rows

from semprune.artefacts.card import Origin, write_card
from semprune.errors import CardMismatchError
from semprune.report import load_run
from semprune.report.card import write_cost
from semprune.report.tables.headline import headline_table

C4 = {"name": "c4", "sequences": 16, "length": 256, "seed": 0}


def _folder(tmp_path, method="wanda", settings=None, calibration=C4, **more):
    folder = tmp_path / "pruned"
    folder.mkdir(parents=True)
    about = {"method": method, "settings": settings or {"sparsity": 0.5}, "calibration": calibration, **more}
    write_card(folder, Origin("own"), "own, pruned", about, [], "load it")
    return folder


@pytest.mark.parametrize(("method", "calibration", "other"), [("wanda", C4, "Magnitude"), ("magnitude", {}, "Wanda")])
def test_the_scores_of_the_same_pruning_stand_in_card_and_front_matter(small_run, tmp_path, method, calibration, other):
    folder = _folder(tmp_path, method, calibration=calibration)
    text = write_cost(small_run, folder).read_text()
    expected = headline_table(load_run(small_run))
    expected = expected[expected["setting"].str.startswith(method.capitalize())]
    (index,) = metadata_load(folder / "README.md")["model-index"]
    found = {(r["dataset"]["name"], m["type"]): m["value"] for r in index["results"] for m in r["metrics"]}
    assert index["name"] == "pruned"
    assert found == {(row.dataset, row.metric): round(row.value, 4) for row in expected.itertuples()}
    assert re.search(r"\| sst2 \|.*\[\S+\u00a0\S+\]", text)
    assert other not in text
    assert "Not measured yet" not in text


def test_the_share_of_skill_that_is_kept_comes_first(small_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    pd.DataFrame(retained_rows(pd.read_parquet(run / "results.parquet"))).to_parquet(run / "retained.parquet")
    text = write_cost(run, _folder(tmp_path)).read_text()
    assert "At 50 % sparsity Wanda keeps " in text
    assert "magnitude" not in text
    assert text.index("skill kept, 95 %") < text.index("95 % interval")


@pytest.mark.parametrize(
    "different",
    [
        {"method": "ria"}, {"settings": {"sparsity": 0.6}}, {"settings": {"pattern": "2:4"}},
        {"calibration": C4 | {"sequences": 128}}, {"fingerprint": "another model"},
    ],
    ids=lambda different: next(iter(different)),
)  # fmt: skip
def test_a_folder_that_was_pruned_otherwise_is_refused(small_run, tmp_path, different):
    folder = _folder(tmp_path, **different)
    before = (folder / "README.md").read_bytes()
    with pytest.raises(
        CardMismatchError, match=r"the run measured Magnitude 50 %, Wanda 50 % \(c4 16 x 256, seed 0\)\."
    ):
        write_cost(small_run, folder)
    assert (folder / "README.md").read_bytes() == before


def test_the_hash_of_the_calibration_counts_more_than_its_name(small_run, tmp_path):
    run = load_run(small_run)
    run.provenance["calibration"] = {"c4-16-256-0": "ab"}
    assert write_cost(run, _folder(tmp_path, calibration={"sha256": "ab"})).is_file()
    with pytest.raises(CardMismatchError):
        write_cost(run, _folder(tmp_path / "other", calibration=C4 | {"sha256": "cd"}))
