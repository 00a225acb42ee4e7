"""What is refused before any work starts: names and numbers that cannot be run."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

from semprune.assets.catalogue import find_asset
from semprune.attribution.ablation.causal import check_dataset
from semprune.attribution.semantic_loss.further_losses import check_losses
from semprune.concepts import load_concepts
from semprune.data import CalibrationDataModule, dataset_spec
from semprune.data.prompts.render import find_prompts
from semprune.data.rows.own_tables import with_own_tables
from semprune.errors import ConfigurationError, EmptyStudyError, SettingError, UnknownConceptError
from semprune.evaluation.metrics import metric
from semprune.pruning.guidance.protection import GENERAL, parse_protection, protections
from semprune.pruning.guidance.reading import check_named
from semprune.pruning.settings import PruneSettings, check_settings
from semprune.ranges import check_ranges
from semprune.study.config.schema import StudyConfig, one_backbone_each

ENGINES = ("local", "ray", "slurm")


def with_tables(config: StudyConfig) -> StudyConfig:
    """Return a study whose own tables have names, by which everything else knows them.

    Raises:
        DatasetSchemaError: A table cannot be used as it is.
        SettingError: A column is named, and there is no table.
    """
    return replace(config, datasets=with_own_tables(config.datasets, config.text_column, config.label_column))


def check(config: StudyConfig) -> None:
    """Refuse names and numbers that cannot be run, before any work starts.

    Raises:
        SempruneError: Of the kind of what is wrong.
    """
    check_ranges(config)
    for field in ("methods", "calibrations", "seeds", "datasets", "sizes"):
        if not getattr(config, field):
            raise EmptyStudyError(field if field != "sizes" else "calibration_sequences or calibration_length")
    for field in ("datasets", "concepts"):
        if not getattr(config.fit, field):
            raise EmptyStudyError(f"fit.{field}")
    if not config.patterns and not config.sparsities:
        raise EmptyStudyError("sparsities")
    for field in ("methods", "calibrations", "protect", "seeds", "datasets", "sparsities", "patterns", "sizes"):
        values = getattr(config, field)
        if len(set(values)) < len(values):
            raise SettingError(field, values, "a list that names each value once")
    _check_names(config)
    _check_methods(config)
    _check_engine(config)


def _check_methods(config: StudyConfig) -> None:
    asked = [parse_protection(text) for text in config.protect]
    if any(asked.count(each) > 1 for each in asked):
        raise SettingError("protect", config.protect, "a list that names each value once")
    amounts = [PruneSettings(sparsity, statistics=config.statistics) for sparsity in config.sparsities]
    amounts += [PruneSettings(pattern=pattern, statistics=config.statistics) for pattern in config.patterns]
    for method, settings in product(config.methods, amounts):
        found = check_settings(method, settings)
        for each in asked if found.needs_statistics else ():
            if each.names != (GENERAL,) or settings.pattern is None:  # the grid leaves that out
                check_settings(method, replace(settings, protect=protections(each)))


def _check_names(config: StudyConfig) -> None:
    for name in (*config.datasets, *config.fit.datasets):
        dataset_spec(name)
    for each in (each for name in config.datasets for each in dataset_spec(name).metrics):
        metric(each)
    _check_causal(config)
    for name in config.datasets:
        find_prompts(dataset_spec(name), config.prompt)
    _ = config.spoken
    for sequences, length in config.sizes:
        for name in config.calibrations:
            CalibrationDataModule(name, sequences, length)
    CalibrationDataModule(config.text.calibration, config.text.sequences, config.text.length)
    for protected in config.protect:
        check_named(protected)
    concepts = [concept.name for concept in load_concepts(config.fit.concepts)]
    classes = [f"{name}.{label}" for name in config.fit.datasets for label in dataset_spec(name).labels.classes]
    for name in config.fit.gates:
        if name not in (*classes, *concepts):
            raise UnknownConceptError(name, (*classes, *concepts))
    check_losses(config.losses)
    if config.sentence_encoder is not None:
        find_asset(config.sentence_encoder)


def _check_causal(config: StudyConfig) -> None:
    if config.causal is None:
        return
    check_dataset("causal.dataset", config.causal.dataset)
    fitted = [dataset_spec(name) for name in config.fit.datasets]
    families = dict.fromkeys(spec.family for spec in fitted if spec.labels.classes)
    if config.causal.family not in families:
        allowed = (
            f"a family of the fit's data sets with classes ({', '.join(families) or 'there is none'}), or `causal` null"
        )
        raise SettingError("causal.family", config.causal.family, allowed)


def _check_engine(config: StudyConfig) -> None:
    engine = config.engine
    if engine.name not in ENGINES:
        raise SettingError("engine.name", engine.name, f"one of {', '.join(ENGINES)}")
    if config.backbones and config.backbone.name in config.backbones:
        raise ConfigurationError(f"backbones names {config.backbone.name}, which is `backbone` already. Leave it out.")
    folders: dict[Path, str] = {}
    for one in one_backbone_each(config):
        other = folders.setdefault(Path(one.output).resolve(), one.backbone.name)
        if other != one.backbone.name:
            raise ConfigurationError(
                f"backbones {other} and {one.backbone.name} would both be written to {one.output}. "
                "Rename one folder, or study them one after the other."
            )
