"""``semprune recommend``: which method and calibration set a study speaks for, given what must survive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semprune.analysis import (
    Drops,
    Recommendation,
    item_divergences,
    read_drops,
    recommend,
    skill_drops,
    text_divergences,
)
from semprune.analysis.divergences import TEXT
from semprune.analysis.drops import DROP_METRICS, EVERYTHING, POINTS
from semprune.artefacts import RERUN, Answers, read_answers, records
from semprune.cli.parsing.arguments import Parser, command_parser
from semprune.errors import ConfigurationError, CorruptArtefactError
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable
from semprune.ranges import check_value
from semprune.report import load_run
from semprune.report.run.formats import listed, p_value
from semprune.report.run.labels import MethodLabels, amount_label, family_label
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import MEASURES, METRICS, Metric
from semprune.report.summary.calibration import one_draw
from semprune.report.tables.guided import guided_sentence, guided_table
from semprune.report.tables.headline import headline_metrics
from semprune.report.tables.skill import WITHOUT, skill_table, skills
from semprune.types import Count, Sparsity

LANGUAGE = "language_modelling"  # its perplexity is no drop of items
SHOWN = METRICS | MEASURES | {POINTS: Metric(POINTS, "Each family's score", "points", "The score of its page.")}
SKILL, RETAINED = "skill", "retained"  # as asked for, and as it is called in tables
FIDELITY = "fidelity"


def recommend_parser() -> Parser:
    """The parser of the command."""
    examples = [
        "semprune recommend runs/calibration --for sentiment",
        "semprune recommend runs/calibration --for all --metric auroc --sparsity 0.5",
        "semprune recommend runs/calibration --for piqa --method wanda",
        "semprune recommend runs/calibration --by fidelity",
    ]
    parser = command_parser(
        "recommend", "Which method and calibration set to take, with the evidence.", "RUN_DIR [options]", examples
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="run folder of a study")
    parser.add_argument(
        "--for",
        dest="target",
        default=None,
        help="what must survive: a family, a data set, or all (default; by fidelity: the distributions over the next "
        f"token of the held-out text, {TEXT})",
    )
    parser.add_argument(
        "--by",
        "--metric",
        dest="metric",
        choices=(SKILL, *DROP_METRICS, FIDELITY),
        default=None,
        help="what its loss is measured by: the share of the dense model's skill (default; for a run without it "
        "points, by the score that stands for each family on its page), points by one score, or without any label the "
        "divergence from the dense model",
    )
    parser.add_argument("--sparsity", type=float, default=None, help="only this one")
    parser.add_argument("--pattern", default=None, help="only this one: unstructured or N:M")
    parser.add_argument("--method", default=None, help="only this one")
    parser.add_argument("--top", type=int, default=8, help="rows of each table")
    return parser


def recommend_from(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        ConfigurationError: It holds no pruned model, or not the share of skill or the fidelity that was asked for.
        CorruptArtefactError: The run folder has no predictions.
        SettingError: A number is out of range, or the study cannot answer, with what it can.
    """
    parsed = recommend_parser().parse_args(arguments)
    check_value("top", parsed.top, Count)
    check_value("sparsity", parsed.sparsity, Sparsity | None)
    run = load_run(parsed.run_dir)
    console = Terminal()
    if parsed.metric == FIDELITY:
        target = parsed.target or (EVERYTHING if run.text_fidelity is None else TEXT)
        drops = _divergences(run, target)
    else:
        target = parsed.target or EVERYTHING
        drops = _drops(run, _answered(run.folder, run.predictions), parsed.metric, target)
    if parsed.metric is None and drops.metric != RETAINED:
        console.print(f"{_scores(run, target)}, {WITHOUT}", soft_wrap=True)
    amounts = _amounts(drops, parsed.sparsity, parsed.pattern)
    guided = guided_table(run)
    for sparsity, pattern in amounts:
        found = recommend(drops, target, sparsity=sparsity, pattern=pattern, method=parsed.method)
        console.print(f"\n{_advice(found, amount_label(pattern, sparsity), run.methods)}", soft_wrap=True)
        if evidence := guided_sentence(guided, records(found.table)[0]):
            console.print(evidence, soft_wrap=True)
        console.print(_table(found, parsed.top, run.methods))


def _answered(folder: Path, answers: Answers | None) -> Answers:
    if answers is None:
        raise CorruptArtefactError(folder / "predictions.parquet", "there is no such file", RERUN)
    return answers


def _divergences(run: RunArtefacts, target: str) -> Drops:
    """How far each model is from the dense one: of the text where it is the target, else of the items' choices."""
    text = run.text_fidelity
    if text is not None and target in (TEXT, *text["dataset"]):
        return text_divergences(text)
    if target == TEXT:
        raise ConfigurationError(f"this run has no fidelity of a text. {RERUN}")
    answers = _answered(run.folder, read_answers(run.folder))  # with the scores of all data sets
    families = dict(run.results[["dataset", "family"]].drop_duplicates().to_numpy().tolist())
    return item_divergences(answers, families, target)


def _drops(run: RunArtefacts, answers: Answers, metric: str | None, target: str) -> Drops:
    """What each model loses, by the share of skill where the run has it and nothing else was asked for."""
    table = skill_table(run)
    if table is None and metric == SKILL:
        raise ConfigurationError(f"this run has no share of skill. {RERUN}")
    if table is None or metric not in (None, SKILL):
        return read_drops(answers, run.results, metric or _headline(run, target))
    return skill_drops(answers, skills(table), target)


def _headline(run: RunArtefacts, target: str) -> dict[str, str]:
    """The score that stands for each of a target's families on the page; accuracy where it has no drop per item."""
    results, chosen = run.results, headline_metrics(run)
    of_target = (target == EVERYTHING) | (results["family"] == target) | (results["dataset"] == target)
    families = dict.fromkeys(results.loc[of_target & (results["family"] != LANGUAGE), "family"]) or chosen
    return {family: chosen[family] if chosen[family] in DROP_METRICS else "accuracy" for family in families}


def _scores(run: RunArtefacts, target: str) -> str:
    """What is compared where the run does not hold the share of skill."""
    of: dict[str, list[str]] = {}
    for family, name in _headline(run, target).items():
        of.setdefault(_lower(METRICS[name]), []).append(family_label(family).lower())
    each = [f"{name} for {listed(families)}" if len(of) > 1 else name for name, families in of.items()]
    return f"by {listed(each)}"


def _amounts(drops: Drops, sparsity: float | None, pattern: str | None) -> list[tuple[float, str]]:
    """What was asked for, or every amount of the study; an unknown one is left to say what there is."""
    known = list(dict.fromkeys(zip(drops.cells["sparsity"], drops.cells["pattern"], strict=True)))
    chosen = [each for each in known if sparsity in (None, each[0]) and pattern in (None, each[1])]
    if not known:
        raise ConfigurationError("the run holds the dense model alone, so there is no choice to recommend.")
    first = known[0]
    return chosen or [(first[0] if sparsity is None else sparsity, first[1] if pattern is None else pattern)]


def _advice(found: Recommendation, amount: str, labels: MethodLabels) -> str:
    metric, best = _metric(found), records(found.table)[0]
    tied = [_choice(row, labels) for row in records(found.tied)]
    draws = f"{found.seeds} draws" if found.seeds > 1 else "one draw"
    count = f"{found.items} {'sequences' if metric.name == 'kl' else 'items'}"
    text = (
        f"For {found.target} at {amount}, by {_lower(metric)} ({listed(found.datasets)}; {count}; {draws} "
        f"of each calibration set): {_choice(best, labels)} {_least(best, metric)}."
    )
    some = [*tied[:4], f"{len(tied) - 4} more"] if len(tied) > 4 else tied
    untold = found.seeds == 1 and found.calibrations > 1
    if tied:
        text += f" Not clearly worse: {listed(some)}."
    elif len(found.table) > 1:
        text += f" {'On these draws every' if untold else 'Every'} other choice is clearly worse."
    return f"{text} {one_draw(found.calibrations)}" if untold else text


def _least(best: dict[str, Any], metric: Metric) -> str:
    if metric.name == RETAINED:
        ends = metric.interval(1 - best["high"], 1 - best["low"])
        return f"keeps most, {metric.number(1 - best['drop'])} % of the dense model's skill {ends}"
    if metric.name in MEASURES:
        unit = "token" if metric.name == "kl" else "item"
        ends = metric.interval(best["low"], best["high"])
        return f"is nearest to the dense model, {metric.number(best['drop'])} nats per {unit} {ends}"
    return f"drops least, {metric.number(best['drop'])} points {metric.interval(best['low'], best['high'])}"


def _metric(found: Recommendation) -> Metric:
    return SHOWN[found.metric]


def _lower(metric: Metric) -> str:
    return metric.label if metric.label[:2].isupper() else metric.label.lower()


def _choice(row: dict[str, object], labels: MethodLabels) -> str:
    method = labels.label(str(row["method"]))
    return f"{method} with {row['calibration']}" if row["calibration"] else method


def _table(found: Recommendation, top: int, labels: MethodLabels) -> WholeTable:
    metric, rows = _metric(found), records(found.table)
    sizes = {_size(row) for row in rows if row["calibration"]}
    names = ["method", "calibration", *(["size"] if len(sizes) > 1 else [])]
    table = WholeTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), keys=len(names))
    for name in names:
        table.add_column(name, no_wrap=True)
    loss = "skill kept, %" if metric.name == RETAINED else "drop, 95 %"
    loss = "divergence, nats, 95 %" if metric.name in MEASURES else loss
    for name in (loss, "behind the best", "p (Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    for place, row in enumerate(rows[:top]):
        choice = [labels.label(row["method"]), row["calibration"] or "none"]
        choice += [_size(row)] if len(sizes) > 1 else []
        table.add_row(*choice, *(_figures(row, metric) if place else [_figures(row, metric)[0], "", ""]))
    return table


def _size(row: dict[str, object]) -> str:
    return f"{row['calibration_sequences']} x {row['calibration_length']}" if row["calibration"] else ""


def _figures(row: dict[str, Any], metric: Metric) -> list[str]:
    loss = (row["drop"], row["low"], row["high"])
    shown = (1 - loss[0], 1 - loss[2], 1 - loss[1]) if metric.name == RETAINED else loss
    drop = f"{metric.number(shown[0])} {metric.interval(*shown[1:])}"
    behind = f"{metric.number(row['behind'])} {metric.interval(row['behind_low'], row['behind_high'])}"
    return [drop, behind, p_value(row["p_holm"])]
