"""What a run measured of a pruned model, in the model card of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult

from semprune.artefacts import UNSTRUCTURED, records
from semprune.artefacts.card import stated_in, with_cost
from semprune.errors import CardMismatchError
from semprune.report.export import headline_text
from semprune.report.run.labels import Setting
from semprune.report.run.load_run import RunArtefacts, loaded
from semprune.report.run.metrics import METRICS
from semprune.report.summary.skill import skill_findings
from semprune.report.tables.headline import headline_table
from semprune.report.tables.skill import EXPLAINED, counted_text, skill_table, skill_text

MOST_NAMED = 6  # models that a message lists


def write_cost(run_dir: Path | RunArtefacts, folder: Path) -> Path:
    """Write into a pruned folder's model card what a run measured of a model that was pruned in the same way.

    Sentences, the share of skill kept and the scores, each with its 95 % interval; the scores stand in the front matter
    too (``model-index``), where the hub reads them.

    Args:
        run_dir: A run folder, or what was read of one.
        folder: A folder of ``semprune prune``.

    Returns:
        The path of the card.

    Raises:
        CardMismatchError: Nothing in the run was pruned as the folder was.
        CorruptArtefactError: The run cannot be read, or the folder has no card.
    """
    run = loaded(run_dir)
    setting = _setting_of(run, folder)
    scores = headline_table(run)
    scores = scores[scores["setting"] == setting.label]
    return with_cost(folder, _cost(run, setting, scores), _results(folder, scores))


def _measured(run: RunArtefacts) -> str:
    """The pruned models of a run, with the calibration text of each that read one."""
    cells = run.results[run.results["method"] != "dense"]
    read = cells["calibrated"] if "calibrated" in cells else cells["calibration"] != ""
    texts = cells["calibration"] + " " + cells["calibration_sequences"].astype(str)
    texts += " x " + cells["calibration_length"].astype(str) + ", seed " + cells["seed"].astype(str)
    models = list(dict.fromkeys(cells["setting"] + (" (" + texts + ")").where(read, "")))
    return ", ".join(models[:MOST_NAMED]) + (
        f" and {len(models) - MOST_NAMED} more" if len(models) > MOST_NAMED else ""
    )


def _setting_of(run: RunArtefacts, folder: Path) -> Setting:
    """The run's setting that a folder's card describes."""
    about = stated_in(folder).get("semprune")
    about = about if isinstance(about, dict) else {}
    rows = run.results[run.results["method"] == about.get("method")]
    asked, looked = about.get("settings") or {}, about.get("calibration") or {}
    rows = rows[rows["pattern"] == (asked.get("pattern") or UNSTRUCTURED)]
    if not asked.get("pattern"):
        rows = rows[(rows["sparsity"] - asked.get("sparsity", -1)).abs() < 1e-9]
    if about.get("fingerprint"):
        rows = rows[rows["backbone"] == about["fingerprint"]]
    if looked:
        rows = rows[pd.Series([_same_text(run, row, looked) for row in records(rows)], rows.index, dtype=bool)]
    labels = set(rows["setting"])
    found = [setting for setting in run.settings if setting.label in labels]
    if len(found) != 1:
        said = ", ".join(f"{name} {value}" for name, value in {**asked, **looked}.items() if name != "sha256")
        raise CardMismatchError(folder, f"{about.get('method')} with {said}", run.folder, _measured(run))
    return found[0]


def _same_text(run: RunArtefacts, row: dict[str, Any], looked: dict[str, Any]) -> bool:
    """Whether a row's calibration is that of a card: by the hash of its tokens where both are known."""
    draw = [row["calibration"], row["calibration_sequences"], row["calibration_length"], row["seed"]]
    known = (run.provenance or {}).get("calibration", {}).get("-".join(map(str, draw)))
    if known is not None and "sha256" in looked:
        return bool(known == looked["sha256"])
    return draw == [looked.get(name) for name in ("name", "sequences", "length", "seed")]


def _cost(run: RunArtefacts, setting: Setting, scores: pd.DataFrame) -> str:
    parts = []
    skill = skill_table(run)
    if skill is not None:
        own = skill[skill["setting"] == setting.label]
        found = [str(finding) for finding in skill_findings(run) if str(finding).startswith(setting.phrase)]
        parts += [EXPLAINED, *found, skill_text(own, counted_text(run)).markdown()]
    parts += ["The scores, in points (perplexity in its own units):", headline_text(scores).markdown()]
    parts += ["▼ clearly lost, ▲ clearly gained: the 95 % interval of the paired difference excludes zero."]
    return "\n\n".join(parts)


def _results(folder: Path, scores: pd.DataFrame) -> dict[str, Any]:
    """The scores as the hub's front matter has them."""
    each = [
        EvalResult(
            task_type="text-generation",
            dataset_type=row["dataset"],
            dataset_name=row["dataset"],
            metric_type=row["metric"],
            metric_name=METRICS[row["metric"]].label,
            metric_value=round(float(row["value"]), 4),
        )
        for row in records(scores.drop_duplicates(["dataset", "metric"]))
    ]
    return {"model_name": folder.resolve().name, "eval_results": each} if each else {}
