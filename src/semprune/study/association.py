"""The study's first step: fit the association, check it causally, describe its strongest neurons."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import lightning
import pandas as pd
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console

from semprune.artefacts import TABLES, write_table
from semprune.attribution import Association, NeuronSemanticAttribution, causal_check, written_by
from semprune.attribution.ablation.neuron_sets import combined_strength, family_classes
from semprune.attribution.association.score import DEFAULT_RANKING, GATES
from semprune.attribution.monitoring import layer_strength
from semprune.attribution.neurons.facets import SHOWN_NEURONS
from semprune.backbones import Backbone
from semprune.data import CalibrationDataModule, DocumentDataModule, load_items
from semprune.data.hashes import hash_contents
from semprune.errors import ConfigurationError, NoDiscoveryError, TooFewDiscoveriesError
from semprune.io.files import write_json, write_parquet
from semprune.study.checkpoints import COMPLETE, AtomicCheckpointIO, interrupted_fit, keeping_the_last, restore
from semprune.study.config.schema import FitConfig, StudyConfig
from semprune.study.store.addresses import content_hash
from semprune.study.store.store import require_writable


def fit_documents(fit: FitConfig, lm: Backbone) -> DocumentDataModule:
    """The documents that a configuration fits on and holds out; nothing is read yet."""
    return DocumentDataModule(fit.datasets, fit.limit, fit.max_length, fit.batch_size).bind(lm)


def fitted_module(config: StudyConfig, lm: Backbone, folder: Path, run: Path) -> NeuronSemanticAttribution:
    """Fit the association, or take a finished or interrupted fit of the same settings up again.

    Args:
        config: The study.
        lm: Its model.
        folder: Where the fit is kept, named by everything that it depends on.
        run: Run folder, for the logs.

    Raises:
        CorruptArtefactError: What was fitted before is damaged.
    """
    fit = config.fit
    module = NeuronSemanticAttribution(
        config.backbone.name, config.backbone.dtype, fit.concepts, gates=fit.gates or None,
        gate_share=fit.gate_share, gate_budget=fit.gate_budget, gate_steps=fit.gate_steps,
    )  # fmt: skip
    module.lm = lm
    if (folder / COMPLETE).is_file():
        restore(module, folder / COMPLETE)
        return module
    require_writable(folder)
    partial = interrupted_fit(folder)
    trainer = lightning.Trainer(
        max_epochs=config.fit.epochs, accelerator="auto", devices=1, num_sanity_val_steps=0, log_every_n_steps=5,
        use_distributed_sampler=False, enable_model_summary=False,
        logger=TensorBoardLogger(run / "lightning_logs", name="fit", version="", default_hp_metric=False),
        callbacks=keeping_the_last(folder), plugins=[AtomicCheckpointIO()],
    )  # fmt: skip
    trainer.fit(module, datamodule=fit_documents(config.fit, lm), ckpt_path=partial, weights_only=True)
    write_json(folder / "metrics.json", module.precision | {"closed_form_spearman": module.agreement()})
    trainer.save_checkpoint(folder / COMPLETE, weights_only=True)
    return module


def check_causally(
    config: StudyConfig,
    lm: Backbone,
    association: Association,
    text: CalibrationDataModule,
    folder: Path,
    console: Console,
) -> Path | None:
    """Make the causal check once for the same settings.

    Args:
        config: The study.
        lm: Its model.
        association: Fitted to it.
        text: Sequences for the perplexity.
        folder: Of the fit.
        console: Where progress goes.

    Returns:
        The table's path; None without a check, or where there are too few discoveries for it, which is said.
    """
    causal = config.causal
    if causal is None:
        return None
    text.setup()
    items = load_items(causal.dataset, limit=causal.limit, screening=config.screened)
    read = [text.token_hash, hash_contents(items)]
    path = folder / f"causal-{content_hash([asdict(causal), *read, config.token_budget])}.parquet"
    if not path.is_file():
        require_writable(folder)
        concepts = family_classes(association, causal.family)
        learned = any(name in association.gated_concepts for name in concepts)
        rankings = {GATES: combined_strength(association, concepts, GATES)} if learned else {}
        try:
            table = causal_check(
                lm, association, concepts, items, text.input_ids, target=causal.family,
                share=causal.share, draws=causal.draws, token_budget=config.token_budget,
                rankings=rankings,
                first=text.first_predicted, progress=lambda name: console.print(f"  causal check: {name}"),
            )  # fmt: skip
        except TooFewDiscoveriesError as error:
            console.print(f"  causal check left out: {error}")
            return None
        write_parquet(path, table)
    return path


def concept_table(module: NeuronSemanticAttribution) -> pd.DataFrame:
    """How well each concept is found: evidence, average precision on held-out documents, discoveries."""
    association, learner = module.association(), module.learner
    assert learner is not None  # a fitted module has one
    token, sequence = learner.token_design, learner.sequence_design
    positives = torch.cat([token.positives, sequence.positives]).long().tolist()
    total = [int(token.tokens)] * len(token.concepts) + sequence.labelled[sequence.owner].long().tolist()
    discoveries, missing = association.gate.sum(0).tolist(), float("nan")
    return pd.DataFrame([
        {
            "concept": concept, "level": level, "prevalence": own / all_of_it,
            "ap_set": module.precision.get(f"average_precision/{concept}", missing),
            "ap_neuron": module.precision.get(f"single_neuron/{concept}", missing),
            "held_out_prevalence": module.precision.get(f"held_out_prevalence/{concept}", missing),
            "discoveries": found, "n_positive": own, "n": all_of_it,
        }
        for concept, level, own, all_of_it, found in zip(
            association.concepts, association.levels, positives, total, discoveries, strict=True
        )
    ])  # fmt: skip


def layer_table(association: Association) -> pd.DataFrame:
    """Strength and discoveries of every concept in every layer."""
    strength, layers = layer_strength(association), int(association.layer.max()) + 1
    found = torch.zeros(layers, len(association.concepts), dtype=torch.long)
    found.index_add_(0, association.layer, association.gate.long())
    return pd.DataFrame([
        {"concept": concept, "level": level, "layer": layer, "strength": float(strength[layer, c]),
         "discoveries": int(found[layer, c])}
        for c, (concept, level) in enumerate(zip(association.concepts, association.levels, strict=True))
        for layer in range(layers)
    ])  # fmt: skip


def describe_association(module: NeuronSemanticAttribution, cards: pd.DataFrame, run: Path) -> None:
    """Write the association and the tables of its concepts, layers and neurons.

    Raises:
        NoDiscoveryError: No concept has a neuron; all that is to come would tell of them.
    """
    association = module.association()
    if cards.empty:
        documents = 0 if module.fitted is None else len(module.fitted.hashes)
        raise NoDiscoveryError(len(association.concepts), documents)
    association.save(run / "association.safetensors")
    write_table(run, "concepts", concept_table(module))
    write_table(run, "layer_concept", layer_table(association))
    write_table(run, "neurons", cards)
    write_written_tokens(module, run)


def write_written_tokens(module: NeuronSemanticAttribution, run: Path) -> None:
    """Keep what each concept's first neurons write, so that ``semprune explain`` need not load the model for it."""
    association = module.association()
    ranked = [(name, DEFAULT_RANKING) for name in association.concepts]
    ranked += [(name, GATES) for name in association.gated_concepts]
    first = dict.fromkeys(name for concept, by in ranked for name in association.top(concept, SHOWN_NEURONS, by))
    (run / TABLES["written_tokens"].file).unlink(missing_ok=True)  # of other settings
    with suppress(ConfigurationError):  # there are models of which it cannot be read off
        if first:
            write_table(run, "written_tokens", written_by(module.lm, association.index, first))
