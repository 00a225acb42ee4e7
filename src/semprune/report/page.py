"""Write ``report.html``: one page without any outside resource, every text escaped, only its own script allowed."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from semprune.analysis.drops import CELL, stated_once
from semprune.io.files import atomic
from semprune.report.run.formats import listed
from semprune.report.run.load import RunArtefacts, loaded
from semprune.report.sections.calibration import calibration_section
from semprune.report.sections.causal import causal_checks
from semprune.report.sections.further_losses import causal_text, readout_text
from semprune.report.sections.layers import heatmaps
from semprune.report.sections.meanings import concept_quality, loss_chart, loss_details
from semprune.report.sections.neurons import concept_cards
from semprune.report.sections.provenance import provenance_groups
from semprune.report.sections.scores import perplexity_panel, score_panels
from semprune.report.summary.summary import findings
from semprune.report.tables.pooled import is_crowded, pooled
from semprune.report.tables.prompts import prompt_table, prompts_text
from semprune.report.tables.text import TextTable

# What each optional artefact gives the page, for the note that stands in its place.
ABSENT = {
    "semantic_loss": "the semantic loss of each concept",
    "concepts": "how well each concept is represented",
    "layer_concept": "where in the model each concept lives",
    "neurons": "the top neurons of each concept",
    "contexts": "the tokens that excite each neuron",
    "neuron_activations": "what pruning left of each neuron",
    "word_activations": "what each word of a concept excites",
    "causal": "the causal check",
    "task_concepts": "which concepts are a data set's own, so that their semantic loss could predict its drop",
    "calibration": "how diverse each calibration set is, and how like each data set",
    "provenance": "what made this run",
}

FURTHER = {"readout-loss": readout_text, "causal-loss": causal_text}


def write_report(run_dir: Path | RunArtefacts) -> Path:
    """Write ``report.html`` in a run folder, atomically.

    Args:
        run_dir: A run folder, or what :func:`semprune.report.run.load.load_run` read of one; see there for what it
            must hold.

    Returns:
        The page's path.

    Raises:
        CorruptArtefactError: If an artefact is not what it should be, or ``results.parquet`` is missing.
    """
    run = loaded(run_dir)
    page = render_report(run)
    path = run.folder / "report.html"
    with atomic(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return path


def render_report(run: RunArtefacts) -> str:
    """The page of a run, as text."""
    script = _asset("page.js")
    shown = pooled(run) if is_crowded(run) else run  # no page could hold hundreds of models one by one
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=f"What pruning cost {backbone_names(run)}",
            subtitle=_subtitle(run),
            style=Markup(_asset("style.css")),  # our own file, not data
            script=Markup(script),
            script_hash=digest,
            settings=shown.settings,
            pooled=_models(run) if is_crowded(run) else 0,
            findings=findings(run),
            panels=score_panels(shown),
            perplexity=perplexity_panel(shown),
            prompts=_prompts(shown),
            calibration=calibration_section(run),
            loss=loss_chart(shown),
            loss_rows=loss_details(shown),
            further=[(key, table) for key, make in FURTHER.items() if (table := make(shown))],
            quality=concept_quality(run),
            heatmaps=heatmaps(shown),
            concepts=concept_cards(shown),
            checks=causal_checks(run),
            provenance=provenance_groups(shown),
            absent={name: about for name, about in ABSENT.items() if getattr(run, name) is None},
        )
    )


def _prompts(run: RunArtefacts) -> TextTable | None:
    """Mean and spread over wordings; None where every data set has one."""
    table = prompt_table(run)
    return prompts_text(table) if len(table) else None


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("semprune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def backbone_names(run: RunArtefacts) -> str:
    """The run's backbones, as in a sentence: by the name they were loaded by, where the run recorded one."""
    recorded = (run.provenance or {}).get("backbone", {})
    if isinstance(recorded, dict) and isinstance(recorded.get("name"), str) and run.results["backbone"].nunique() == 1:
        return str(recorded["name"])
    return listed(list(dict.fromkeys(run.results["backbone"])))


def _models(run: RunArtefacts) -> int:
    """How many pruned models there are; one that looked at no calibration is stated for each, and counts once."""
    once = stated_once(run.results[run.results["method"] != "dense"])
    return len(once[CELL].drop_duplicates())


def _subtitle(run: RunArtefacts) -> str:
    """Methods, calibration sets and sizes in one line."""
    methods = list(dict.fromkeys(run.methods.label(setting.method) for setting in run.settings))
    calibrations = sorted(set(run.results["calibration"]) - {""})
    datasets = run.results["dataset"].nunique()
    parts = [f"{listed(methods)} against the dense model" if methods else "The dense model only"]
    if calibrations:
        parts.append(f"calibrated on {listed(calibrations)}")
    return ", ".join([*parts, f"{datasets} data sets"]) + "."


def _asset(name: str) -> str:
    """A file of this package, ready to stand inside a page.

    The script's hash in the page's policy is of exactly these characters, so the template adds none.
    """
    return files("semprune.report").joinpath(name).read_text(encoding="utf-8")
