"""How far a cell's model is from the dense one; of the dense cell, how far it is from itself when it runs again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from semprune.artefacts import DENSE, TABLES, Cell, records
from semprune.data import dataset_spec
from semprune.errors import CorruptArtefactError
from semprune.errors.base import what_it_says
from semprune.evaluation.fidelity import TokenFidelity, dense_text, token_fidelity
from semprune.evaluation.results.item_fidelity import FLIPS, item_fidelity
from semprune.io.files import write_parquet
from semprune.io.tensor_files import read_sealed, write_sealed
from semprune.statistics.intervals import mean_test
from semprune.study.cell.shared import SharedInputs
from semprune.study.store import store
from semprune.study.store.addresses import Addresses

FLOOR_SEQUENCES = 8
"""So many sequences are read again one by one, where the study reads eight at once (ours)."""
_KEYS = list(TABLES["predictions"].keys)
_MEASURED = ["value", "low", "high", "n"]


@dataclass(frozen=True)
class TextPass:
    """One pass over the held-out text.

    Attributes:
        nll: Mean negative log-likelihood of each sequence.
        fidelity: Against the dense model; of the dense model, its first sequences read again.
        states: What the dense model's head was given; None of a pruned one.
    """

    nll: Float[Tensor, " sequences"]
    fidelity: TokenFidelity
    states: Float[Tensor, "sequences positions d"] | None = None


@dataclass
class CellFidelity:
    """Measures and writes the fidelity of one cell.

    Attributes:
        shared: What all cells share.
        addresses: Where results go.
        cell: The cell.
    """

    shared: SharedInputs
    addresses: Addresses
    cell: Cell
    _again: dict[str, pd.DataFrame] = field(default_factory=dict)

    def read_text(self) -> TextPass:
        """Read the text once for perplexity and fidelity, with the model as it is now."""
        data, lm = self.shared.data, self.shared.lm
        ids, first = data.text.to(lm.device), data.text_windows.first_predicted
        if self.cell != DENSE:
            found = token_fidelity(lm.model, ids, self._states(), first=first)
            return TextPass(found.nll, found)
        dense, few = dense_text(lm.model, ids, first=first), ids[:FLOOR_SEQUENCES]
        again = token_fidelity(lm.model, few, dense.states[: len(few)], batch_size=1, first=first)
        return TextPass(dense.nll, again, dense.states)

    def score_again(self, dataset: str) -> None:
        """Score some items of a data set again in smaller batches, where the model is the dense one."""
        if self.cell == DENSE:
            self._again[dataset] = self.shared.score_again(dataset)

    def write_text(self, found: TextPass) -> None:
        """Write what :meth:`read_text` found; of the dense model also what others are compared with."""
        file, name = self.addresses.text, self.shared.config.text.calibration
        if found.states is not None:
            write_sealed(self.addresses.cell(DENSE) / f"states-{file}.safetensors", {"states": found.states})
            dense_nll = found.nll[: len(found.fidelity.nll)]
        else:
            stored = store.read_table(self.addresses.cell(DENSE) / f"nll-{file}.parquet")
            dense_nll = torch.tensor(stored["nll"].to_numpy())
        self._write(file, text_measures(found.fidelity, dense_nll, name))
        write_parquet(
            self.addresses.cell(self.cell) / f"text_fidelity-{file}.parquet", each_sequence(found.fidelity, name)
        )

    def write_items(self, dataset: str, predictions: pd.DataFrame, dense: pd.DataFrame | None) -> None:
        """Write the fidelity of answers; the dense model's are compared with those of :meth:`score_again`."""
        pruned = predictions
        if dense is None:
            pruned = self._again[dataset]
            dense = predictions.merge(pruned[_KEYS], on=_KEYS)
        table = item_measures(item_fidelity(dense, pruned), dataset_spec(dataset).family)
        self._write(self.addresses.items(dataset), table)

    def _write(self, file: str, table: pd.DataFrame) -> None:
        """Write a table with the noise floor of each measure: what it is of the dense model, run again."""
        keys = list(TABLES["fidelity"].keys)
        floor = table
        if self.cell != DENSE:
            floor = store.read_table(self.addresses.cell(DENSE) / f"fidelity-{file}.parquet")
        floor = floor[keys].assign(floor=floor["value"].abs())
        write_parquet(self.addresses.cell(self.cell) / f"fidelity-{file}.parquet", table.merge(floor, on=keys))

    def _states(self) -> Float[Tensor, "sequences positions d"]:
        path = self.addresses.cell(DENSE) / f"states-{self.addresses.text}.safetensors"
        try:
            return read_sealed(path)[1]["states"]
        except Exception as error:  # readers pass on whatever damaged bytes make them do
            remedy = f"Delete {path.parent} and run the same command again: that cell is then computed anew."
            raise CorruptArtefactError(path, what_it_says(error), remedy) from error


def each_sequence(found: TokenFidelity, text: str) -> pd.DataFrame:
    """Means over each sequence's positions, one row per sequence.

    Args:
        found: Of both models.
        text: Name of the text.
    """
    values = {
        "kl": found.divergence.double().mean(1).numpy(),
        "same_top": found.same_top.double().mean(1).numpy(),
        "nll": found.nll.double().numpy(),
    }
    return pd.DataFrame({"dataset": text, "sequence": range(len(found.nll))} | values)


def text_measures(found: TokenFidelity, dense_nll: Float[Tensor, " sequences"], text: str) -> pd.DataFrame:
    """``kl``, ``same_top`` and ``log_perplexity`` (pruned minus dense) of a text, with intervals over its sequences.

    Args:
        found: Of both models.
        dense_nll: The dense model's mean NLL of the same sequences.
        text: Name of the text.
    """
    sequences = each_sequence(found, text).rename(columns={"nll": "log_perplexity"})
    sequences["log_perplexity"] = (found.nll - dense_nll).double().numpy()
    rows = []
    for measure in ("kl", "same_top", "log_perplexity"):
        values = sequences[measure].to_numpy()
        interval, _ = mean_test(values, [str(place) for place in range(len(values))])
        rows.append((text, "language_modelling", "", measure, values.mean(), *interval, found.divergence.numel()))
    return pd.DataFrame(rows, columns=["dataset", "family", "prompt", "measure", *_MEASURED])


def item_measures(found: pd.DataFrame, family: str) -> pd.DataFrame:
    """Rows of :func:`~semprune.evaluation.item_fidelity`, one per measure; the rank agreement has no interval."""
    ends = {"item_kl": ("divergence", "low", "high"), "rank_agreement": ("rank_agreement",)}
    ends |= {name: (name, f"{name}_low", f"{name}_high") for name in FLIPS}
    rows: list[dict[str, Any]] = []
    for row in records(found):
        same = {"dataset": row["dataset"], "family": family, "prompt": row["prompt"], "n": row["n"]}
        for measure in ("item_kl", *FLIPS, "rank_agreement"):
            value, low, high = [*(row[name] for name in ends[measure]), float("nan"), float("nan")][:3]
            rows.append(same | {"measure": measure, "value": value, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["dataset", "family", "prompt", "measure", *_MEASURED])
