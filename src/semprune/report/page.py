"""Write ``report.html``: one page without any outside resource, every text escaped, only its own script allowed."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from semprune.artefacts import TABLES
from semprune.io.files import atomic
from semprune.report.run.formats import listed
from semprune.report.run.load_run import RunArtefacts, is_crowded, loaded, pooled
from semprune.report.sections import calibration, fidelity, layers, meanings, neurons, protected, provenance, tasks
from semprune.report.sections.ablation import carriers, causal, frontier, gate_controls, mediation
from semprune.report.sections.section import Section
from semprune.report.summary import findings

SECTIONS: tuple[Section, ...] = (
    findings.SECTION,
    tasks.SECTION,
    fidelity.SECTION,
    protected.SECTION,
    calibration.SECTION,
    meanings.SECTION,
    layers.SECTION,
    neurons.SECTION,
    causal.SECTION,
    frontier.SECTION,
    carriers.SECTION,
    gate_controls.SECTION,
    mediation.SECTION,
    provenance.SECTION,
)
"""The page's sections from top to bottom; all that a new one needs here is its place."""


def write_report(run_dir: Path | RunArtefacts) -> Path:
    """Write ``report.html`` in a run folder, atomically.

    Args:
        run_dir: A run folder, or what :func:`semprune.report.run.load_run.load_run` read of one; see there for what it
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
    script = page_asset("page.js")
    shown = pooled(run) if is_crowded(run) else run  # no page could hold hundreds of models one by one
    views = {section: view for section in SECTIONS if (view := section.view(run, shown)) is not None}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        page_environment()
        .get_template("page.html.j2")
        .render(
            title=f"What pruning cost {backbone_names(run)}",
            subtitle=_subtitle(run),
            style=Markup(page_asset("style.css")),  # our own file, not data
            script=Markup(script),
            script_hash=digest,
            sections=list(views),
            absent=_absent(run),
            **{name: value for view in views.values() for name, value in view.items()},
        )
    )


def _absent(run: RunArtefacts) -> dict[str, str]:
    """What each artefact that the run lacks would give the page."""
    absent = {table.name: table.gives for table in TABLES.values() if table.gives and table.name not in run.tables}
    return absent | ({"provenance": "what made this run"} if run.provenance is None else {})


@cache
def page_environment() -> Environment:
    """Templates of the report's pages: every text is escaped, and an unknown name is an error."""
    return Environment(
        loader=PackageLoader("semprune.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def backbone_names(run: RunArtefacts) -> str:
    """The run's models, as in a sentence."""
    return listed([run.model_name(each) for each in dict.fromkeys(run.results["backbone"])])


def _subtitle(run: RunArtefacts) -> str:
    """Methods, calibration sets and sizes in one line."""
    methods = list(dict.fromkeys(run.methods.label(setting.method) for setting in run.settings))
    calibrations = sorted(set(run.results["calibration"]) - {""})
    datasets = run.results.loc[run.results["family"] != "language_modelling", "dataset"].nunique()
    parts = [f"{listed(methods)} against the dense model" if methods else "The dense model only"]
    if calibrations:
        parts.append(f"calibrated on {listed(calibrations)}")
    return ", ".join([*parts, f"{datasets} data set{'' if datasets == 1 else 's'}"]) + "."


def page_asset(name: str) -> str:
    """A file of this package, ready to stand inside a page.

    The script's hash in the page's policy is of exactly these characters, so the template adds none.
    """
    return files("semprune.report").joinpath(name).read_text(encoding="utf-8")
