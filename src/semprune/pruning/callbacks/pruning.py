"""The Lightning callback that prunes: it only says *when*."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from jaxtyping import Int
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from semprune.backbones.backbone import Backbone
from semprune.errors import CalibrationMissingError, ConfigurationError
from semprune.pruning.callbacks.monitoring import log_sparsity
from semprune.pruning.guidance.protection import Protection, protections
from semprune.pruning.in_memory.guiding import protected_texts
from semprune.pruning.in_memory.prune_model import prune_model
from semprune.pruning.masks.apply import apply_stored
from semprune.pruning.masks.stored import StoredMasks, masks_of_state
from semprune.pruning.report import PruneReport
from semprune.pruning.selection.pattern import Pattern
from semprune.pruning.settings import PruneSettings, check_settings
from semprune.pruning.weights.linear import WeightCopy
from semprune.types import Count, Sparsity


def backbone_of(pl_module: LightningModule, callback: str) -> Backbone:
    """Return the module's frozen model.

    Raises:
        ConfigurationError: The module has no ``lm``, or it is not a backbone.
    """
    lm = getattr(pl_module, "lm", None)
    if not isinstance(lm, Backbone):
        raise ConfigurationError(
            f"callback {callback} prunes `lm` of the module, but {type(pl_module).__name__}.lm is "
            f"{type(lm).__name__}, not a Backbone. Load it with load_backbone before the run starts."
        )
    return lm


def calibration_of(trainer: Trainer, callback: str) -> Int[Tensor, "sequences tokens"]:
    """Return the data module's calibration sequences.

    Raises:
        CalibrationMissingError: There is no data module, or it offers none.
    """
    datamodule = getattr(trainer, "datamodule", None)
    offer = getattr(datamodule, "calibration_input_ids", None)
    if offer is None:
        raise CalibrationMissingError(callback, type(datamodule).__name__)
    input_ids: Tensor = offer()
    return input_ids


class PruningCallback(Callback):
    """Prunes the frozen model of a LightningModule for the length of a run.

    When ``fit``, ``validate``, ``test`` or ``predict`` starts, it prunes ``pl_module.lm.model`` in place with the
    data module's calibration sequences, and when the run ends, also by an exception, it puts the dense weights back
    (kept on the CPU meanwhile). Its state holds the masks. When a checkpoint with the same settings is loaded they
    are applied again instead of computed, except for a method that changes the weights it keeps (SparseGPT): its
    weights would weigh as much as the model, so they are computed again from the calibration, which is the same work
    with the same result. With several ranks, the calibration is shared out over them and all have the same masks.

    Attributes:
        name: Name of the pruning method.
        report: What the last pruning did; None before the first.

    Args:
        method: Name of the pruning method.
        sparsity: Share of each matrix's weights to set to zero, in [0, 1); 0.5 where neither this nor a pattern is
            given, what the literature compares at.
        selection: exact (the asked number of each group) or reference (what the published code selects).
        statistics: sequential (earlier blocks already pruned) or dense.
        batch_size: Calibration sequences per forward.
        pattern: N:M, which keeps N weights of each M consecutive inputs; instead of a sparsity. In YAML in quotes.
        allocation: uniform (every block alike) or owl (less where outliers are many).
        unrouted: refuse or keep experts that no calibration token is routed to.
        protect: What is to be kept: a name, names, or a Protection.
        options: Options of the method and of the allocation.

    Raises:
        UnknownMethodError: There is no such method.
        SparsityRangeError: The sparsity is outside [0, 1).
        SettingError: Another setting has a value it cannot have.
    """

    def __init__(
        self,
        method: str,
        sparsity: Sparsity | None = None,
        selection: str = PruneSettings.selection,
        statistics: str = PruneSettings.statistics,
        batch_size: Count = PruneSettings.batch_size,
        pattern: str | None = None,
        allocation: str = PruneSettings.allocation,
        unrouted: str = PruneSettings.unrouted,
        protect: str | list[str] | Protection | None = None,
        **options: Any,
    ) -> None:
        """Check the settings; nothing is pruned yet."""
        self.name = method
        self.report: PruneReport | None = None
        if sparsity is None and pattern is None:
            sparsity = 0.5
        written = None if pattern is None else str(Pattern.parse(pattern))
        self._settings = PruneSettings(
            sparsity, selection, statistics, batch_size, written, options, allocation, unrouted, protections(protect)
        )
        self._method = check_settings(method, self._settings)
        self._lm: Backbone | None = None
        self._dense: WeightCopy | None = None
        self._loaded: StoredMasks | None = None
        self._suspended = False

    def settings(self) -> dict[str, Any]:
        """Return the settings that this method reads, as plain values."""
        return self._settings.relevant(self._method)

    @property
    def state_key(self) -> str:
        """Method and settings: masks of other settings are never taken for these."""
        return self._generate_state_key(method=self.name, **self.settings())

    @property
    def active(self) -> bool:
        """Whether the model is in this callback's hands: pruned, or suspended with dense copies kept."""
        return self._dense is not None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Dense weights inside: nothing is pruned, and what was pruned already is dense until the block ends."""
        before, self._suspended = self._suspended, True
        pruned = None
        if self._dense is not None and self._lm is not None and not before:
            pruned = WeightCopy(self._lm.model)  # not the masks: a method may have changed the weights it kept
            self._dense.write_back()
        try:
            yield
        finally:
            self._suspended = before
            if pruned is not None and self.active:  # not where the run has ended inside
                pruned.write_back()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prune before fitting."""
        self._start(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prune before a validation of its own; inside ``fit`` the model is pruned already."""
        self._start(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prune before testing."""
        self._start(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prune before predicting."""
        self._start(trainer, pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the dense weights back."""
        self.restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put the dense weights back; Lightning calls no teardown after an exception."""
        self.restore()

    def restore(self) -> None:
        """Put the dense weights back; does nothing where they are back."""
        if self._dense is not None:
            self._dense.write_back()
            self._dense = None

    def state_dict(self) -> dict[str, Any]:
        """Return the masks, packed into bits, and what they were made of; empty before the first pruning."""
        if self.report is None or self._lm is None:
            return {}
        return StoredMasks.of(self.report, self._lm.fingerprint).state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take masks from a checkpoint; they are applied when the run starts.

        Raises:
            CorruptArtefactError: The state is not that of this class, or its masks are damaged.
        """
        self._loaded = masks_of_state(state_dict)

    def _start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._suspended or self._dense is not None:
            return
        lm = backbone_of(pl_module, type(self).__name__)
        self._refuse_company(trainer)
        calibration = None
        if self._settings.needs(self._method) != "nothing":
            with suppress(CalibrationMissingError) if self._masks_suffice else nullcontext():
                calibration = calibration_of(trainer, type(self).__name__)
        masks, self._loaded = self._loaded, None
        if masks is not None:
            texts = protected_texts(lm, self._settings) if calibration is not None else ()
            masks = masks if masks.serve(lm.fingerprint, calibration, texts) else None
        if self._method.changes_weights:
            masks = None
        self._lm, self._dense = lm, WeightCopy(lm.model)
        try:
            if masks is None:
                self.report = self._prune(lm, calibration, distributed=trainer.world_size > 1)
            else:
                self.report = apply_stored(lm.model, masks, self._dense.linears)
        except BaseException:
            self.restore()
            raise
        if trainer.is_global_zero:
            log_sparsity(trainer.loggers, self.report, lm.matrices, trainer.global_step)

    @property
    def _masks_suffice(self) -> bool:
        """Whether loaded masks make the pruned model, without calibration."""
        return self._loaded is not None and not self._method.changes_weights

    def _refuse_company(self, trainer: Trainer) -> None:
        for other in trainer.callbacks:  # type: ignore[attr-defined]  # set by Lightning's callback connector
            if isinstance(other, PruningCallback) and other is not self and other.active:
                raise ConfigurationError(
                    f"callbacks {type(other).__name__} and {type(self).__name__} would prune the same model at once. "
                    "Give each its own run, or suspend one."
                )

    def _prune(self, lm: Backbone, calibration: Tensor | None, *, distributed: bool) -> PruneReport:
        settings = self._settings
        return prune_model(
            lm,
            calibration,
            method=self.name,
            sparsity=settings.sparsity,
            pattern=settings.pattern,
            selection=settings.selection,
            statistics=settings.statistics,
            allocation=settings.allocation,
            batch_size=settings.batch_size,
            unrouted=settings.unrouted,
            protect=settings.protect,
            distributed=distributed,
            **settings.options,
        )
