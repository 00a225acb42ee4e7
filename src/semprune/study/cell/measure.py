"""Measures one cell: prunes once, scores what is missing of it, and writes it part by part, the marker last."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from semprune.artefacts import DENSE, Cell
from semprune.attribution import TestPass
from semprune.attribution.semantic_loss.concept_norms import ConceptNorms
from semprune.backbones import Backbone
from semprune.data import dataset_spec
from semprune.evaluation import summarise
from semprune.evaluation.results.summarise import summarise_perplexity
from semprune.io.files import write_json, write_parquet
from semprune.pruning import PruneReport, find_method
from semprune.pruning.guidance.strength import StrengthChoice
from semprune.study.cell.fidelity import CellFidelity, TextPass
from semprune.study.cell.shared import SharedInputs
from semprune.study.cell.tables import (
    activation_table,
    context_table,
    evidence_table,
    further_loss_tables,
    kept_shares,
    loss_table,
    sparsity_table,
    strength_table,
    word_activation_table,
    word_table,
)
from semprune.study.store import store
from semprune.study.store.addresses import Addresses


@dataclass
class CellMeasurement:
    """One cell being measured.

    Attributes:
        shared: What all cells share.
        addresses: Where results go.
        cell: The cell.
        seconds: Wall-clock seconds of each stage so far.
    """

    shared: SharedInputs
    addresses: Addresses
    cell: Cell
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The cell's folder."""
        return self.addresses.cell(self.cell)

    @property
    def lm(self) -> Backbone:
        """The model."""
        return self.shared.lm

    @cached_property
    def fidelity(self) -> CellFidelity:
        """How far it is from the dense model."""
        return CellFidelity(self.shared, self.addresses, self.cell)

    def run(self) -> None:
        """Measure what is missing; the marker comes last.

        Raises:
            SempruneError: Of the kind of what went wrong; parts that were written stay.
        """
        missing, test_pass = store.missing_parts(self.addresses, self.cell), None
        if self.shared.shares_statistics(self.cell):
            with self._timed("statistics"):
                self.shared.statistics(self.cell)
        with self._pruned() as report:
            self._measure(missing)
            if "meaning" in missing:
                with self._timed("documents"):
                    test_pass = self._read_documents(report)
        with self._timed("tables"):
            self._write(test_pass, report)
        about = store.read_json(self.folder / store.DONE)
        write_json(self.folder / store.DONE, about | self._about(report))

    @contextmanager
    def _pruned(self) -> Iterator[PruneReport | None]:
        with ExitStack() as stack:
            with self._timed("prune"):
                report = stack.enter_context(self.shared.pruned(self.cell))
            yield report

    def _measure(self, missing: list[str]) -> None:
        """Score data sets and text, and write each at once: whoever is killed goes on at the next."""
        for name in self.shared.config.datasets:
            if name in missing:
                with self._timed("items"), torch.inference_mode():
                    predictions = self.shared.score(name)
                    self.fidelity.score_again(name)
                with self._timed("tables"):
                    self._write_items(name, predictions)
        if "text" in missing:
            with self._timed("text"), torch.inference_mode():
                text = self.fidelity.read_text()
            with self._timed("tables"):
                self._write_text(text)

    def _read_documents(self, report: PruneReport | None) -> TestPass:
        shared = self.shared
        with torch.inference_mode():
            norms = ConceptNorms(self.lm, len(shared.association.concepts)) if report is None else None
            test_pass = TestPass(shared.learner, shared.watched, norms)
            for seen in shared.observed:
                test_pass.add_documents(self.lm, seen)
            test_pass.finish()
        if report is not None and find_method(self.cell.method).changes_weights:
            test_pass.keep_weights(self.lm)
        return test_pass

    def _write(self, test_pass: TestPass | None, report: PruneReport | None) -> None:
        if report is not None and not (self.folder / "sparsity.parquet").is_file():
            table = sparsity_table(report, self.lm)
            table["mass_lost"] = table["matrix"].map(self.shared.masses_lost(report))
            write_parquet(self.folder / "sparsity.parquet", table)
            if (record := report.settings.get("protected_strength")) is not None:
                write_parquet(self.folder / "strengths.parquet", strength_table(StrengthChoice.from_record(record)))
        if test_pass is not None:
            folder = self.folder / self.addresses.meaning
            tables = self._dense_tables(test_pass, folder) if report is None else self._pruned_tables(test_pass, report)
            for name, table in tables.items():
                write_parquet(folder / f"{name}.parquet", table)
            write_json(folder / store.MEANING, {"association": self.addresses.fit.name})

    def _write_items(self, name: str, predictions: pd.DataFrame) -> None:
        file, spec, dense = self.addresses.items(name), dataset_spec(name), None
        if self.cell != DENSE:
            dense = store.read_table(self.addresses.cell(DENSE) / f"predictions-{file}.parquet")
        results = summarise(
            predictions, dense, families={name: spec.family}, metrics={name: spec.metrics},
            left_out=self.shared.data.scorable[name].counts,
        )  # fmt: skip
        write_parquet(self.folder / f"predictions-{file}.parquet", predictions)
        self.fidelity.write_items(name, predictions, dense)
        write_parquet(self.folder / f"results-{file}.parquet", results)

    def _write_text(self, text: TextPass) -> None:
        nll, file, dense = text.nll, self.addresses.text, None
        if self.cell != DENSE:
            stored = store.read_table(self.addresses.cell(DENSE) / f"nll-{file}.parquet")
            dense = torch.tensor(stored["nll"].to_numpy())
        write_parquet(self.folder / f"nll-{file}.parquet", pd.DataFrame({"nll": nll.tolist()}))
        self.fidelity.write_text(text)
        table = summarise_perplexity(nll, dense, dataset=self.shared.config.text.calibration)
        write_parquet(self.folder / f"{file}.parquet", table)

    def _dense_tables(self, test_pass: TestPass, folder: Path) -> dict[str, pd.DataFrame]:
        shared = self.shared
        store.save_test_pass(folder, test_pass)
        return {
            "contexts": context_table(test_pass, shared.association, self.lm, shared.data.documents.val_documents),
            "evidence": evidence_table(test_pass, shared.association),
            "words": word_table(test_pass, shared.association, shared.cards, self.lm),
        }

    def _pruned_tables(self, test_pass: TestPass, report: PruneReport) -> dict[str, pd.DataFrame]:
        shared, lm, association = self.shared, self.lm, self.shared.association
        folder = self.addresses.cell(DENSE) / self.addresses.meaning
        evidence = evidence_table(test_pass, association)
        kept = kept_shares(report, lm, shared.cards["neuron"].unique().tolist())
        words = word_table(test_pass, association, shared.cards, lm)
        return {
            "semantic_loss": loss_table(test_pass, self._dense_pass(folder), association, report, lm),
            "neuron_activations": activation_table(
                store.read_table(folder / "evidence.parquet"), evidence, shared.cards, kept
            ),
            "word_activations": word_activation_table(store.read_table(folder / "words.parquet"), words),
        } | further_loss_tables(
            shared.module, shared.data.held_out, test_pass.weights or report.masks, shared.config.losses
        )

    def _dense_pass(self, folder: Path) -> TestPass:
        return self.shared.dense_pass(lambda: store.load_test_pass(folder, self.shared.learner, self.lm))

    def _about(self, report: PruneReport | None) -> dict[str, Any]:
        about: dict[str, Any] = {"seconds": self.seconds | {"total": sum(self.seconds.values())}}
        about |= {"cell": self.cell.columns, "process": f"{platform.node()}:{os.getpid()}"}
        if report is not None:
            about["masks"] = report.mask_hash
        if self.cell.calibration:
            about["tokens"] = self.shared.data.calibration(self.cell.draw).token_hash
        return about

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
