"""How much a drop hangs on the wording of the prompt: mean and spread over the prompts of a data set."""

from __future__ import annotations

import pandas as pd

from semprune.artefacts import records
from semprune.report.run.load_run import RunArtefacts
from semprune.report.run.metrics import METRICS
from semprune.report.tables.headline import headline_table
from semprune.report.tables.text_table import TextTable


def prompt_table(run: RunArtefacts) -> pd.DataFrame:
    """One row per data set × setting that was asked with several prompts, by its family's headline metric.

    The spread is over wordings on the same items; it is not the interval of the items' draw.

    Returns:
        Columns dataset, metric, setting, prompts (their number), dense (mean), pruned (mean), damage (mean), sd (its
        standard deviation over prompts), lowest, lowest_prompt, highest, highest_prompt (of the damage), worse (prompts
        whose damage is clearly above 0). Empty where every data set has one prompt.
    """
    table = headline_table(run)
    rows = []
    for (dataset, metric, setting), group in table.groupby(["dataset", "metric", "setting"], sort=False):
        if len(group) < 2:
            continue
        ordered = records(group.sort_values(["damage", "prompt"]))
        low, high = ordered[0], ordered[-1]
        row = {"dataset": dataset, "metric": metric, "setting": setting, "prompts": len(group)}
        row |= {"dense": group["dense"].mean(), "pruned": group["value"].mean(), "damage": group["damage"].mean()}
        row |= {"sd": group["damage"].std(ddof=1), "lowest": low["damage"], "lowest_prompt": low["prompt"]}
        row |= {"highest": high["damage"], "highest_prompt": high["prompt"]}
        rows.append(row | {"worse": int((group["verdict"] == "worse").sum())})
    return pd.DataFrame(rows)


def prompts_text(table: pd.DataFrame) -> TextTable:
    """The table for the page, a README or a paper, in points."""
    rows = []
    for row in records(table):
        metric = METRICS[row["metric"]]
        means = [metric.number(row[name]) for name in ("dense", "pruned", "damage", "sd")]
        ends = [f"{metric.number(row[name])} ({row[f'{name}_prompt']})" for name in ("lowest", "highest")]
        clear = f"{row['worse']} of {row['prompts']}"
        rows.append([row["dataset"], metric.label, row["setting"], *means, *ends, clear])
    header = ["data set", "metric", "method", "dense", "pruned", "mean drop", "sd over prompts", "smallest", "largest"]
    caption = "Means over the wordings of each data set, and how far the drops of single wordings lie apart."
    return TextTable(caption, [*header, "clearly worse"], rows, names=3)
