"""A pruning run, checked as far as it can be before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from semprune.backbones.blocks.runner import calibrating
from semprune.backbones.loading.load import load_tokenizer
from semprune.backbones.loading.source import find_backbone
from semprune.backbones.streamed import StreamedModel
from semprune.data import CalibrationDataModule
from semprune.data.batches.special_tokens import spelled
from semprune.data.subject import context_length
from semprune.errors import BackboneMismatchError, MasksOnlyError, SettingError
from semprune.io.provenance import versions
from semprune.pruning.calibration import CalibrationTokens, check_calibration, hash_calibration
from semprune.pruning.guidance.fisher import Fisher, WeighedText
from semprune.pruning.guidance.protected_text import ProtectedText, with_texts
from semprune.pruning.guidance.reading import read_protected
from semprune.pruning.guidance.sharing import Sharing, general_text, share
from semprune.pruning.guidance.strength import AUTO, StrengthChoice
from semprune.pruning.in_memory.calibration_pass import vocabulary
from semprune.pruning.masks.file import MaskFile
from semprune.pruning.method import Method
from semprune.pruning.methods import source_hash
from semprune.pruning.settings import PruneSettings, check_settings, refuse_changed_weights
from semprune.pruning.streamed.allocation import streamed_allocation
from semprune.pruning.streamed.config import PruneConfig
from semprune.pruning.streamed.dense_pass import check_routing
from semprune.pruning.streamed.hidden_states import StreamedInputs
from semprune.pruning.streamed.output_folder import TAKEN_ON, OutputFolder
from semprune.pruning.streamed.protected import StreamedGuide, start_streamed_guides, weigh_streamed
from semprune.pruning.streamed.pruners import CalibratedPruner, DataFreePruner, StoredMaskPruner, StreamedPruner
from semprune.pruning.streamed.strength import streamed_strength
from semprune.pruning.weights.linear import prunable_linears
from semprune.ranges import check_ranges


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What will be done to which model.

    Attributes:
        streamed: The model.
        masks_only: Whether only masks are written.
        settings: How a method prunes; None for stored masks.
        method: The method; None for stored masks.
        tokens: Calibration sequences; None where none are looked at.
        masks: Stored masks to apply; None for a method.
        opening: Special tokens that each sequence begins with, spelled; None where none are looked at.
        protected: Text of what is to be kept.
        choice: Its strength, where that was not given.
    """

    streamed: StreamedModel
    masks_only: bool
    settings: PruneSettings | None = None
    method: Method | None = None
    tokens: CalibrationTokens | None = None
    masks: MaskFile | None = None
    opening: str | None = None
    protected: tuple[ProtectedText, ...] = ()
    choice: StrengthChoice | None = None

    def header(self) -> dict[str, Any]:
        """Return what is stored with the masks."""
        if self.masks is not None:
            return {key: value for key, value in self.masks.header.items() if key not in ("shapes", "mask_hash")}
        assert self.method is not None
        assert self.settings is not None
        return {
            "fingerprint": asdict(self.streamed.fingerprint),
            "method": self.method.name,
            "settings": with_texts(self.settings.relevant(self.method), self.protected, self.choice),
            "calibration": None if self.tokens is None else hash_calibration(self.tokens.input_ids),
        }

    def identity(self) -> dict[str, Any]:
        """Return everything that the bytes of the result depend on."""
        header = self.header()
        source = None if self.method is None else source_hash(self.method.name)
        settings = dict(header["settings"])
        # apart from the others: a run may take it on when blocks are finished
        taken_on = {TAKEN_ON: settings.pop(TAKEN_ON)} if self.masks is None and TAKEN_ON in settings else {}
        return {
            **{key: header[key] for key in ("fingerprint", "method", "calibration")},
            "settings": settings,
            **taken_on,
            "dtype": str(self.streamed.dtype).removeprefix("torch."),
            "device": self.streamed.device.type,
            "masks": None if self.masks is None else self.masks.header["mask_hash"],
            "masks_only": self.masks_only,
            "versions": versions(),
            **({} if source is None else {"method_source": source}),
        }

    def with_strength(self, output: OutputFolder) -> PrunePlan:
        """Return the plan with a strength for all that is to be kept; one that was chosen is in the work folder."""
        if all(text.strength != AUTO for text in self.protected):
            return self
        assert self.method is not None
        assert self.settings is not None
        assert self.tokens is not None
        with output.writing(output.path), calibrating(self.streamed.model):
            texts, general = self._weighed(output.work)
            given = (self.streamed, self.method, self.settings, self.tokens, texts, general, output.work)
            choice = streamed_strength(*given)
        return replace(self, protected=tuple(text.chosen(choice) for text in self.protected), choice=choice)

    def pruner(self, output: OutputFolder) -> StreamedPruner:
        """Return how the blocks are pruned."""
        if self.masks is not None:
            return StoredMaskPruner(self.masks)
        assert self.method is not None
        assert self.settings is not None
        method, settings = self.method, self.settings

        def allocate() -> dict[str, float] | None:
            if self.tokens is None:
                return None
            if settings.owl is not None:
                return streamed_allocation(self.streamed, self.tokens, settings, settings.owl, output, dense_guides)
            if not output.blocks:
                check_routing(self.streamed, self.tokens, settings, output)
            sizes = {
                linear.name: linear.stored.numel()
                for linears in prunable_linears(self.streamed.model).values()
                for linear in linears
            }
            return self._sharing(output.work).sparsities(sizes, settings.keep.sparsity)

        def dense_guides(folder: Path) -> list[StreamedGuide]:
            texts, _ = self._weighed(output.work)
            return start_streamed_guides(self.streamed, texts, settings, "squares", folder, 0)

        def guides(block: int) -> tuple[list[StreamedGuide], Mapping[str, Tensor]]:
            texts, _ = self._weighed(output.work)
            started = start_streamed_guides(self.streamed, texts, settings, method.needs, output.work, block)
            return started, self._sharing(output.work).outputs

        def inputs(block: int) -> StreamedInputs:
            assert self.tokens is not None
            return StreamedInputs(self.streamed, self.tokens, settings, output.work, block)

        if not method.needs_statistics:
            return DataFreePruner(method, settings, allocate)
        return CalibratedPruner(method, settings, allocate, inputs, guides)

    @property
    def weighed(self) -> tuple[ProtectedText, ...]:
        """All text that the dense model reads forwards and backwards."""
        if self.method is None or self.settings is None or self.tokens is None:
            return ()
        general = (general_text(self.tokens),) if self.settings.shares else ()
        return self.protected + general

    def _weighed(self, work: Path) -> tuple[list[WeighedText], Fisher | None]:
        """What is to be kept, weighed, and general text where a sparsity is shared."""
        assert self.settings is not None
        found, count = weigh_streamed(self.streamed, self.weighed, self.settings, work), len(self.protected)
        return found[:count], next((each.fisher for each in found[count:]), None)

    def _sharing(self, work: Path) -> Sharing:
        texts, general = self._weighed(work)
        return share(general, texts)


def plan_pruning(config: PruneConfig) -> PrunePlan:
    """Check a configuration, find the model and read the calibration text.

    Raises:
        SempruneError: Of the kind of what is wrong with the settings, the model, its files or the calibration text.
    """
    check_ranges(config)
    if config.masks is not None:
        return _plan_stored(config, config.masks)
    settings = config.settings()
    method = check_settings(config.method, settings)
    if config.masks_only and method.changes_weights:
        raise MasksOnlyError(method.name)
    calibration = _calibration(config) if settings.needs(method) != "nothing" else None
    streamed = _open_model(config)
    linears = [linear for inside in prunable_linears(streamed.model).values() for linear in inside]
    settings.check_widths((linear.name, linear.weight.shape[1]) for linear in linears)
    if calibration is None:
        return PrunePlan(streamed, config.masks_only, settings, method)
    tokenizer = load_tokenizer(streamed.source.name, streamed.source.folder)
    tokens, opening = _read_tokens(calibration, streamed, tokenizer)
    protected = read_protected(settings.protect, tokenizer, context_length(streamed.model, tokenizer))
    return PrunePlan(streamed, config.masks_only, settings, method, tokens, opening=opening, protected=protected)


def _plan_stored(config: PruneConfig, path: str) -> PrunePlan:
    computed = {"sparsity": config.sparsity, "pattern": config.pattern, "protect": config.protect}
    given = [name for name, value in computed.items() if value is not None] + ["masks_only"] * config.masks_only
    if given:
        raise SettingError("masks", path, f"left out where masks are to be computed ({', '.join(given)})")
    masks = MaskFile(Path(path))
    refuse_changed_weights(str(masks.header["method"]))
    streamed = _open_model(config)
    if not streamed.fingerprint.fits(masks.fingerprint):
        raise BackboneMismatchError(str(path), str(streamed.fingerprint), str(masks.fingerprint))
    return PrunePlan(streamed, masks_only=False, masks=masks)


def _open_model(config: PruneConfig) -> StreamedModel:
    backbone = config.backbone
    source = find_backbone(backbone.name, backbone.revision)
    return StreamedModel(source, dtype=backbone.dtype, device=backbone.device)


def _calibration(config: PruneConfig) -> CalibrationDataModule:
    asked = config.calibration
    return CalibrationDataModule(
        asked.name, asked.sequences, asked.length, asked.seed, asked.batch_size, add_bos=asked.add_bos
    )


def _read_tokens(
    calibration: CalibrationDataModule, streamed: StreamedModel, tokenizer: Any
) -> tuple[CalibrationTokens, str]:
    """Read the sequences, and what each of them begins with."""
    calibration.bind(streamed.model, tokenizer)
    calibration.prepare_data()
    tokens = check_calibration(calibration.calibration_input_ids(), None, None, vocabulary(streamed.model))
    return tokens, spelled(tokenizer, calibration.prefix)
