"""What ``fit`` and ``test`` leave in their log folder: the same tables as a study's; and their trainer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
from lightning.fabric.plugins import TorchCheckpointIO

from semprune.artefacts import DENSE, UNSTRUCTURED, Cell, with_cell, write_table
from semprune.attribution import NeuronSemanticAttribution, TestPass
from semprune.data import dataset_spec
from semprune.data.batches.special_tokens import special_tokens, spelled
from semprune.errors import ConfigurationError
from semprune.evaluation import item_fidelity
from semprune.io.provenance import RunClock
from semprune.pruning.callbacks.pruning import PruningCallback
from semprune.pruning.selection.pattern import Pattern
from semprune.study.association import concept_table, layer_table, write_written_tokens
from semprune.study.cell.fidelity import item_measures
from semprune.study.cell.tables import further_loss_tables, loss_table, sparsity_table
from semprune.study.checkpoints import AtomicCheckpointIO
from semprune.study.run_folder import write_provenance


class PairedTrainer(lightning.Trainer):
    """Lightning's Trainer with four differences.

    ``test`` runs once with pruning callbacks suspended and, where there is one, again with it;
    ``use_distributed_sampler`` is False, since semprune's data modules share out each batch themselves; local
    checkpoints are whole or not there, on whatever file system; and ``fast_dev_run`` has the two epochs that a fit
    needs, each of its one batch.
    """

    def __init__(self, *args: Any, use_distributed_sampler: bool = False, **kwargs: Any) -> None:
        """Take Lightning's own arguments."""
        super().__init__(*args, use_distributed_sampler=use_distributed_sampler, **kwargs)
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:  # none was chosen
            self.strategy.checkpoint_io = AtomicCheckpointIO()
        if self.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it
            self.fit_loop.max_epochs, self.fit_loop.epoch_loop.max_steps = 2, -1

    def test(self, model: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Test the dense model, then the pruned one, on the same items and documents.

        Raises:
            ConfigurationError: There is more than one pruning callback.
        """
        pruners = [callback for callback in self.callbacks if isinstance(callback, PruningCallback)]  # type: ignore[attr-defined]
        if len(pruners) > 1:
            names = ", ".join(type(pruner).__name__ for pruner in pruners)
            raise ConfigurationError(f"test prunes with one method at a time, got {names}. Compare them in a study.")
        if not isinstance(model, NeuronSemanticAttribution):
            return super().test(model, *args, **kwargs)
        with ExitStack() as stack:
            for pruner in pruners:
                stack.enter_context(pruner.suspended())
            model.condition = "dense"
            found = super().test(model, *args, **kwargs)
        for pruner in pruners:
            model.condition = pruner.name
            found += super().test(model, *args, **kwargs)
        return found


def write_fit(module: NeuronSemanticAttribution, folder: Path) -> pd.DataFrame:
    """Write ``concepts.parquet``, ``layer_concept.parquet`` and ``written_tokens.parquet``; returns the first."""
    concepts = concept_table(module)
    write_table(folder, "concepts", concepts)
    write_table(folder, "layer_concept", layer_table(module.association()))
    write_written_tokens(module, folder)
    return concepts


def further_tables(module: NeuronSemanticAttribution, trainer: PairedTrainer) -> dict[str, pd.DataFrame]:
    """The further semantic losses that the module was asked for; every rank takes part."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
    for pruner in trainer.callbacks:  # type: ignore[attr-defined]  # as above
        if isinstance(pruner, PruningCallback) and pruner.report is not None:
            if data.documents is None:
                return {}
            held_out = data.documents.val_dataloader()
            batches = (module.transfer_batch_to_device(batch, module.lm.device, 0) for batch in held_out)
            changed = module.outcomes[pruner.report.method].weights or pruner.report.masks
            tables = further_loss_tables(module, batches, changed, module.losses)
            cell, backbone = _cell(pruner, trainer), str(module.lm.fingerprint)
            return {name: with_cell(table, cell, backbone) for name, table in tables.items()}
    return {}


def write_test(
    module: NeuronSemanticAttribution,
    trainer: PairedTrainer,
    folder: Path,
    clock: RunClock,
    further: Mapping[str, pd.DataFrame] | None = None,
) -> Path:
    """Write results, predictions, fidelity, sparsity and semantic loss of the dense pass and, if any, the pruned one.

    Args:
        module: After both passes.
        trainer: That ran them.
        folder: Where to write.
        clock: Started with the command.
        further: Of :func:`further_tables`.

    Returns:
        The folder, which ``semprune report`` reads.
    """
    backbone, dense = str(module.lm.fingerprint), module.outcomes["dense"]
    tables = {
        "results": [with_cell(dense.results(), DENSE, backbone)],
        "predictions": [with_cell(dense.predictions, DENSE, backbone)],
    }
    for pruner in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it
        if isinstance(pruner, PruningCallback) and pruner.report is not None:
            cell, test_pass = _cell(pruner, trainer), module.outcomes[pruner.name]
            tables["results"].append(with_cell(test_pass.results(dense), cell, backbone))
            tables["predictions"].append(with_cell(test_pass.predictions, cell, backbone))
            tables["fidelity"] = [with_cell(_fidelity(dense, test_pass), cell, backbone)]
            tables["sparsity"] = [with_cell(sparsity_table(pruner.report, module.lm), cell, backbone)]
            if module.learner is not None:
                loss = loss_table(test_pass, dense, module.association(), pruner.report, module.lm)
                if len(loss):
                    tables["semantic_loss"] = [with_cell(loss, cell, backbone)]
    tables |= {name: [table] for name, table in (further or {}).items()}
    for name, parts in tables.items():
        write_table(folder, name, pd.concat(parts, ignore_index=True))
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
    draw, tokenizer = data.calibration, module.lm.tokenizer
    begins = {"texts": special_tokens(tokenizer).prefix} | ({"calibration": draw.prefix} if draw else {})
    chat = {"chat": asdict(data.chat)} if data.chat else {}
    write_provenance(
        folder, clock, module.lm, items=data.data_hash, left_out=data.scorable.listed,
        documents=data.documents.data_hash if data.documents else None,
        calibration={draw.name: draw.token_hash} if draw else {},
        special_tokens={name: spelled(tokenizer, prefix) for name, prefix in begins.items()},
        settings={**module.hparams, **chat}, datasets=data.datasets,
    )  # fmt: skip
    return folder


def _fidelity(dense: TestPass, pruned: TestPass) -> pd.DataFrame:
    """How far the pruned pass's answers are from the dense one's; without the noise floor of a dense run again."""
    found = item_fidelity(dense.predictions, pruned.predictions)
    families = {name: dataset_spec(name).family for name in found["dataset"].unique()}
    tables = [item_measures(rows, families[str(name)]) for name, rows in found.groupby("dataset")]
    return pd.concat(tables, ignore_index=True).assign(floor=float("nan"))


def _cell(pruner: PruningCallback, trainer: PairedTrainer) -> Cell:
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
    calibration = data.calibration
    looked_at = calibration is not None and pruner.report is not None and pruner.report.calibration is not None
    settings, report = pruner.settings(), pruner.report
    assert report is not None  # it has pruned
    pattern = settings.get("pattern")
    sparsity = Pattern.parse(pattern).sparsity if pattern else settings["sparsity"]
    cell = Cell(pruner.name, sparsity, pattern=pattern or UNSTRUCTURED)
    if not looked_at:
        return cell
    sequences, length = calibration.sequences, calibration.length
    return replace(cell, calibration=calibration.name, seed=calibration.seed, sequences=sequences, length=length)
