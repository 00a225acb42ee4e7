"""The run in plain sentences, computed from its numbers; a change is claimed only where its interval excludes zero."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semprune.artefacts import CELL, is_guided, records, stated_once
from semprune.report.run.formats import TIMES, interval, listed, number, p_value, percent
from semprune.report.run.labels import Setting, family_label
from semprune.report.run.load_run import RunArtefacts, is_crowded, pooled
from semprune.report.run.metrics import METRICS, Metric
from semprune.report.sections.ablation.causal import SELECTIONS
from semprune.report.sections.section import Section
from semprune.report.summary.calibration import study_findings
from semprune.report.summary.fidelity import fidelity_finding
from semprune.report.summary.finding import Finding, damage_points, hardest_hit
from semprune.report.summary.guided import guided_findings
from semprune.report.summary.many_settings import family_ranges, meanings_shared, perplexity_range
from semprune.report.summary.mediation import mediation_findings
from semprune.report.summary.skill import MOST_SETTINGS, skill_findings
from semprune.report.tables.headline import family_table, headline_table
from semprune.report.tables.semantic_loss import overall_loss
from semprune.report.tables.skill import EXPLAINED

MOST_EXAMPLES = 3
CHOSEN = {
    "gates": ("Causal gates:", "that were learned to carry"),
    "association": ("Causal check:", "that the association names for"),
}
"""Sets of the causal check that a run stands for, by what their sentences begin with and say of them."""


def findings(run: RunArtefacts) -> list[Finding]:
    """What the run shows, most important first: what was kept, families, perplexity, preference, meanings, causes.

    Of a crowded run, the means per method and amount; what calibration sets say is from all its pruned models.
    """
    calibration, guided = study_findings(run), guided_findings(run)
    run = pooled(run) if is_crowded(run) else run
    families = family_table(headline_table(run))
    found: list[Finding | None] = list(skill_findings(run))
    if len(run.settings) > MOST_SETTINGS:
        found = [*(found or family_ranges(families)), perplexity_range(run), _preference(run), meanings_shared(run)]
    else:
        found = found or [
            _families(setting, families[families["setting"] == setting.label]) for setting in run.settings
        ]
        found += [_perplexity(run), _preference(run), *_meanings(run)]
    found += [fidelity_finding(run), *hardest_hit(run), *calibration, *_causal(run), *mediation_findings(run)]
    return [*guided, *(finding for finding in found if finding is not None)]


def _families(setting: Setting, families: pd.DataFrame) -> Finding | None:
    """What one setting does to each family, hardest-hit family first."""
    rows = sorted(records(families), key=lambda row: -row["damage"])
    if not rows:
        return None
    worse = [row for row in rows if row["verdict"] == "worse"]
    better = [row for row in rows if row["verdict"] == "better"]
    unclear = [family_label(row["family"]).lower() for row in rows if row["verdict"] == "unclear"]
    parts = []
    if worse:
        parts.append("loses " + listed([damage_points(row, 1) for row in worse]))
    if better:
        parts.append("gains " + listed([damage_points(row, -1) for row in better]))
    if unclear:
        which = "any task family" if len(unclear) == len(rows) > 1 else listed(unclear, "or")
        parts.append(f"shows no clear change on {which} (interval includes zero)")
    return Finding(setting.phrase, "; it ".join(parts) + ".", "worse" if worse else "better" if better else "unclear")


def _perplexity(run: RunArtefacts) -> Finding | None:
    """Perplexity of the first text under every setting; the table has the other texts."""
    metric = METRICS["perplexity"]
    table = headline_table(run, metric.name)
    if table.empty:
        return None
    first = table[table["dataset"] == table["dataset"].iloc[0]]
    clauses = []
    for verdict, verb in (("worse", "rises"), ("better", "falls")):
        changed = [
            f"to {metric.number(row['value'])} ({TIMES}{number(row['value'] / row['dense'])}) with {row['setting']}"
            for row in records(first[first["verdict"] == verdict])
        ]
        if changed:
            clauses.append(f"{verb} from {metric.number(first['dense'].iloc[0])} {listed(changed)}")
    unclear = first.loc[first["verdict"] == "unclear", "setting"].tolist()
    if unclear:
        clauses.append(f"does not clearly change with {listed(unclear, 'or')}")
    verdict = next(name for name in ("worse", "better", "unclear") if name in set(first["verdict"]))
    return Finding(f"Perplexity on {first['dataset'].iloc[0]}", listed(clauses) + ".", verdict)


def _preference(run: RunArtefacts) -> Finding | None:
    """Where accuracy falls but AUROC does not clearly: another preferred word rather than lost knowledge."""
    keys = ["dataset", "prompt", "setting"]
    accuracy, auroc = (headline_table(run, metric) for metric in ("accuracy", "auroc"))
    both = accuracy[accuracy["verdict"] == "worse"].merge(auroc[auroc["verdict"] != "worse"][keys], on=keys)
    if both.empty:
        return None
    metric = METRICS["accuracy"]
    cases = [
        f"{row['dataset']} with {row['setting']} ({metric.number(row['damage'])} "
        f"{metric.interval(row['damage_low'], row['damage_high'])})"
        for row in records(both)
    ]
    rest = f" and {len(cases) - MOST_EXAMPLES} more" if len(cases) > MOST_EXAMPLES else ""
    return Finding(
        "Bias rather than knowledge?",
        f"Accuracy falls, but AUROC does not clearly, on {listed(cases[:MOST_EXAMPLES])}{rest}: a sign that the model "
        "now prefers another answer word more than that it no longer knows.",
        "unclear",
    )


def _meanings(run: RunArtefacts) -> list[Finding]:
    """Per setting, the concepts that lose clearly more than the matched neurons of other concepts."""
    loss = overall_loss(run)
    found = []
    for setting in run.settings:
        rows = loss[loss["setting"] == setting.label].sort_values("xsl", ascending=False)
        if rows.empty:
            continue
        clear = rows[rows["xsl_low"] > 0]
        if clear.empty:
            text = f"none of {len(rows)} concepts loses clearly more than equally active neurons of other concepts do."
            found.append(Finding(f"Meanings with {setting.label}:", text, "unclear"))
            continue
        top = [
            f"{row['label']} ({number(100 * row['xsl'])}\u00a0{interval(100 * row['xsl_low'], 100 * row['xsl_high'])})"
            for row in records(clear)[:MOST_EXAMPLES]
        ]
        text = (
            f"{len(clear)} of {len(rows)} concepts lose clearly more than equally active neurons of other concepts do, "
            f"most of all {listed(top)}, in points of semantic loss."
        )
        found.append(Finding(f"Meanings with {setting.label}:", text, "worse"))
    return found


def _causal(run: RunArtefacts) -> list[Finding]:
    """Whether the named neurons matter more than matched random ones, by the paired difference to them."""
    if run.causal is None:
        return []
    found = []
    for _, rows in run.causal.groupby(["target", "dataset", "share"], sort=False):
        named = {(row["selection"], row["metric"]): row for row in records(rows)}
        for selection, (lead, chosen) in CHOSEN.items():
            if {("dense", "auroc"), (selection, "auroc"), ("matched_random", "auroc")} <= set(named):
                top = named[selection, "auroc"]
                text = (
                    f"ablating the {percent(top['share'], 1)} of neurons {chosen} {top['target']} {_taken(named, top)}"
                )
                found.append(Finding(lead, text, "holds" if top["excess_high"] < 0 else "unclear"))
    return found


def _taken(named: dict[tuple[str, str], dict[str, Any]], top: dict[str, Any]) -> str:
    metric, control = METRICS["auroc"], named["matched_random", "auroc"]
    return (
        f"takes AUROC on {top['dataset']} from {metric.number(named['dense', 'auroc']['value'])} to "
        f"{metric.number(top['value'])}; {SELECTIONS['matched_random'][0].lower()} give "
        f"{metric.number(control['value'])}. The paired difference is {_excess(top, metric)}"
        f"{_price(named, top['selection'])}."
    )


def _price(named: dict[tuple[str, str], dict[str, Any]], selection: str) -> str:
    top = named.get((selection, "perplexity"))
    return "" if top is None else f", that in perplexity {_excess(top, METRICS['perplexity'])}"


def _excess(row: dict[str, Any], metric: Metric) -> str:
    ends = metric.interval(row["excess_low"], row["excess_high"])
    return f"{metric.number(row['excess'])} {ends} (p {p_value(row['excess_p'])})"


def _models(run: RunArtefacts) -> int:
    """How many pruned models there are; one that looked at no calibration is stated for each, and counts once."""
    once = stated_once(run.results[run.results["method"] != "dense"])
    return len(once[CELL].drop_duplicates())


def _view(run: RunArtefacts, shown: RunArtefacts) -> dict[str, Any]:
    many = _models(run) if is_crowded(run) else 0
    explained = EXPLAINED if run.retained is not None else ""
    return {
        "settings": shown.settings, "pooled": many, "guided": bool(is_guided(run.results["calibration"]).any()),
        "findings": findings(run), "explained": explained,
    }  # fmt: skip


SECTION = Section("summary", "Summary", _view, folder="summary")
