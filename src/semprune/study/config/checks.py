"""What is refused before any work starts: names and numbers that cannot be run."""

from __future__ import annotations

from semprune.assets.catalogue import find_asset
from semprune.attribution.semantic_loss.further_losses import check_losses
from semprune.concepts import load_concepts
from semprune.data import CalibrationDataModule, dataset_spec
from semprune.data.prompts.render import find_prompts
from semprune.data.settings import at_least
from semprune.errors import ConfigurationError, EmptyStudyError, SettingError
from semprune.pruning.settings import PruneSettings, check_settings
from semprune.study.config.schema import CausalConfig, StudyConfig

ENGINES = ("local", "ray", "slurm")


def check(config: StudyConfig) -> None:
    """Refuse names and numbers that cannot be run, before any work starts.

    Raises:
        SempruneError: Of the kind of what is wrong.
    """
    for field in ("methods", "calibrations", "seeds", "datasets", "sizes"):
        if not getattr(config, field):
            raise EmptyStudyError(field if field != "sizes" else "calibration_sequences or calibration_length")
    for field in ("datasets", "concepts"):
        if not getattr(config.fit, field):
            raise EmptyStudyError(f"fit.{field}")
    if not config.patterns and not config.sparsities:
        raise EmptyStudyError("sparsities")
    for field in ("methods", "calibrations", "seeds", "datasets", "sparsities", "patterns", "sizes"):
        values = getattr(config, field)
        if len(set(values)) < len(values):
            raise SettingError(field, values, "a list that names each value once")
    _check_names(config)
    for method in config.methods:
        for sparsity in config.sparsities:
            check_settings(method, PruneSettings(sparsity, statistics=config.statistics))
        for pattern in config.patterns:
            check_settings(method, PruneSettings(pattern=pattern, statistics=config.statistics))
    _check_engine(config)


def _check_names(config: StudyConfig) -> None:
    for name in (*config.datasets, *config.fit.datasets, *([config.causal.dataset] if config.causal else [])):
        dataset_spec(name)
    for name in config.datasets:
        find_prompts(dataset_spec(name), config.prompt)
    at_least("shots", config.shots, 0)
    for sequences, length in config.sizes:
        for name in config.calibrations:
            CalibrationDataModule(name, sequences, length)
    CalibrationDataModule(config.text.calibration, config.text.sequences, config.text.length)
    load_concepts(config.fit.concepts)
    if config.causal is not None:
        _check_causal(config.causal, config.fit.datasets)
    check_losses(config.losses)
    if config.sentence_encoder is not None:
        find_asset(config.sentence_encoder)


def _check_causal(causal: CausalConfig, fitted: list[str]) -> None:
    """Refuse a check of nothing: classes of the family come from the fitting data sets."""
    families = {name: dataset_spec(name).family for name in fitted if dataset_spec(name).labels.classes}
    if causal.family not in families.values():
        known = ", ".join(sorted({str(family) for family in families.values()})) or "none"
        raise SettingError(
            "causal.family", causal.family, f"a family of the fitting data sets ({known}), or causal null"
        )
    classes = dataset_spec(causal.dataset).labels.classes
    if len(classes) != 2:
        raise SettingError("causal.dataset", causal.dataset, f"a data set of two classes; this one has {len(classes)}")


def _check_engine(config: StudyConfig) -> None:
    engine = config.engine
    if engine.name not in ENGINES:
        raise SettingError("engine.name", engine.name, f"one of {', '.join(ENGINES)}")
    for field, least in (("workers", 1), ("cpus", 1), ("gpus", 0)):
        if getattr(engine, field) < least:
            raise SettingError(f"engine.{field}", getattr(engine, field), f"at least {least}")
    if config.backbones and config.backbone.name in config.backbones:
        raise ConfigurationError(f"backbones names {config.backbone.name}, which is `backbone` already. Leave it out.")
